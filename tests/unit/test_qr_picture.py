"""A QR code as the page draws it: square for square what the encoder made."""

from __future__ import annotations

import re

import segno

from gateway.web.centre.wechat import drawn

URL = "http://weixin.qq.com/q/02abcDEFghij"


def test_every_dark_square_is_drawn_and_no_other() -> None:
    picture, made = drawn(URL), segno.make(URL, error="m", micro=False)
    dark = {(x + 4, y + 4) for y, row in enumerate(made.matrix) for x, module in enumerate(row) if module}
    runs = re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", picture.path)
    assert "".join(f"M{x} {y}h{width}v1h-{width}z" for x, y, width in runs) == picture.path
    assert {(int(x) + step, int(y)) for x, y, width in runs for step in range(int(width))} == dark
    assert picture.size == len(made.matrix) + 8, "a quiet zone of four all around"
