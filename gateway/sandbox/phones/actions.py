"""What a visitor does on a person's phone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.sandbox.clock import Tasks
from gateway.sandbox.items import Device, Mail, Text
from gateway.sandbox.smtp import Mailboxes
from gateway.sandbox.twilio import Twilio
from gateway.sandbox.wechat import WeChat
from gateway.sandbox.world import World

from .views import live_call

LONGEST = 1600


class Actions:
    """Turns a visitor's click into what the person's device would do."""

    def __init__(self, world: World, twilio: Twilio, wechat: WeChat, mail: Mailboxes, tasks: Tasks) -> None:
        self._world = world
        self._twilio = twilio
        self._wechat = wechat
        self._mail = mail
        self._tasks = tasks

    def run(self, action: str, device: Device, given: Mapping[str, Any]) -> bool:
        """Does one thing; False when it can't be done now or isn't known."""
        words = str(given.get("text", "")).strip()[:LONGEST]
        person = device.person
        match action:
            case "seen":
                device.unread = 0
            case "hands_on":
                device.hands_on = given.get("on") is True
            case "text" if words and person.phone:
                self._tasks.start(self._twilio.send_inbound_sms(person.phone, self._correspondent(device), words))
            case "chat" if words and person.openid and device.following:
                self._tasks.start(self._wechat.write(person.openid, words))
            case "menu" if person.openid and device.following:
                self._tasks.start(self._wechat.press(person.openid, str(given.get("key", ""))[:128]))
            case "scan" if words and person.openid:
                self._tasks.start(self._wechat.scan(person.openid, words))
            case "follow" if person.openid and not device.following:
                self._tasks.start(self._wechat.follow(person.openid))
            case "unfollow" if person.openid and device.following:
                self._tasks.start(self._wechat.unfollow(person.openid))
            case "dial" if person.phone and live_call(device) is None:
                self._twilio.inbound_call(person.phone, self._twilio.number)
            case "unsubscribe":
                found = next(
                    (item for item in device.items if isinstance(item, Mail) and item.id == given.get("mail")), None
                )
                if found is None or not found.one_click:
                    return False
                self._tasks.start(self._mail.unsubscribe(found))
            case "answer" | "hang_up" | "press":
                return self._in_call(action, device, str(given.get("key", "")))
            case _:
                return False
        self._world.changed(device)
        return True

    def _correspondent(self, device: Device) -> str:
        texts = [item for item in device.items if isinstance(item, Text)]
        return texts[-1].other if texts else self._twilio.number

    def _in_call(self, action: str, device: Device, key: str) -> bool:
        call = live_call(device)
        session = self._twilio.calls.sessions.get(call.id) if call is not None else None
        if session is None:
            return False
        ringing = session.record.started is None
        match action:
            case "answer" if ringing:
                session.answer()
            case "hang_up":
                session.end("busy" if ringing else "completed")
            case "press" if not ringing and len(key) == 1 and key in "0123456789*#":
                session.press(key)
            case _:
                return False
        return True
