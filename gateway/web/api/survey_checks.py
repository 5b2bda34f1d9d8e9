"""What is wrong with surveys and invitations beside fields of the wrong type, so that all is named at once."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final

from gateway.surveys import forms
from gateway.surveys.nouns import NewInvitation
from gateway.web.api.broadcast_types import audience_of
from gateway.web.api.ids import known_id
from gateway.web.api.message_request import reach_given
from gateway.web.api.sound import Faults, Sound
from gateway.web.api.survey_types import InvitationIn, SurveyIn, form_of
from gateway.web.fields import convert
from gateway.web.operations import Call, NoQuery

_NAMES: Final = re.compile(r"/questions(/\d+(/(id|kind))?)?")
_NOBODY: Final = "nobody"


async def check_form(call: Call[SurveyIn, NoQuery], _spoilt: Collection[str]) -> Faults:
    """What is wrong with the parts of a survey that have the right type."""
    sound = Sound(call.tree, SurveyIn, _stand_in)
    if sound.tree is None:
        return []
    found = sound.more(forms.problems(form_of(convert(sound.tree, SurveyIn))))
    unsure = any(_NAMES.fullmatch(pointer) for pointer in sound.bad)
    return [fault for fault in found if not (unsure and fault[0].startswith("/alerts/"))]


async def check_invitation(call: Call[InvitationIn, NoQuery], _spoilt: Collection[str]) -> Faults:
    """What is wrong with the parts of an invitation that have the right type."""
    sound = Sound(call.tree, InvitationIn, lambda _name, _beside, _n: {"customers": [_NOBODY]})
    if sound.tree is None:
        return []
    new = new_invitation(convert(sound.tree, InvitationIn), sound.tree)
    try:
        found = await call.gateway.surveys.faults(call.key.mode, known_id(call, "survey"), new)
    except KeyError:
        return []
    return sound.more(found)


def new_invitation(asked: InvitationIn, tree: dict[str, Any]) -> NewInvitation:
    """An invitation as the service takes it. `tree`: the JSON it came from."""
    return NewInvitation(
        audience=audience_of(asked.audience),
        reach=reach_given(tree),
        data=asked.data,
        case=asked.case,
        again=asked.again,
        remind_after=asked.remind_after,
        closes_in=asked.closes_in,
    )


def _stand_in(name: str, beside: dict[str, Any], n: int) -> Any:
    """Something that is no fault by itself, and no name that stands elsewhere."""
    match name:
        case "kind":
            return "choice" if "options" in beside else "text"
        case "at_most":
            return 0
        case "questions":
            return [{"id": _NOBODY, "kind": "text", "text": "-"}]
        case _:
            return f"{_NOBODY}-{n}"
