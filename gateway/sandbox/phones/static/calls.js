// The Phone app: the call screen with its captions and keypad, and the calls of the past.

import { avatar, clock, h, icon } from "./dom.js";
import { now } from "./main.js";

const KEYS = [["1", ""], ["2", "ABC"], ["3", "DEF"], ["4", "GHI"], ["5", "JKL"], ["6", "MNO"], ["7", "PQRS"], ["8", "TUV"], ["9", "WXYZ"], ["*", ""], ["0", "+"], ["#", ""]];
const ENDINGS = { completed: "Ended", "no-answer": "Missed", busy: "Declined", canceled: "Given up by the caller", failed: "Failed" };
const HEARD = { human: "a person", machine_start: "voicemail", machine_end_beep: "voicemail", machine_end_silence: "voicemail", fax: "a fax", unknown: "something" };
let speaker = false;
const spoken = new Set();

export function callScreen(place, phone, call) {
  const ringing = call.answered_at === null;
  const state = `${call.id} ${ringing}`;
  if (place.state !== state) {
    place.state = state;
    place.call = null;
    const focused = place.contains(document.activeElement);
    place.replaceChildren(...(ringing ? incoming(phone, call) : running(place, phone)));
    if (focused || document.activeElement === document.body) place.querySelector("button")?.focus({ preventScroll: true });
  }
  place.call = call;
  if (!ringing) captions(place, call);
  tickCall(place);
}

function caller(phone, call, words) {
  return h("div", { class: "caller" }, h("p", { class: "call-state", role: "status" }, words), h("p", { class: "number" }, call.other), h("p", { class: "sub" }, "The company"));
}

function incoming(phone, call) {
  const auto = phone.person.hands_on ? null : h("p", { class: "hint" }, `${phone.person.name} will see to it alone, unless you answer.`);
  return [
    caller(phone, call, call.mine ? "Calling…" : "Incoming call"),
    h("div", { class: "pulse" }, h("i"), h("i"), h("i"), avatar({ id: call.other, name: "☎" }, "huge")),
    auto,
    h("div", { class: "choices" },
      h("button", { type: "button", class: "call no", onclick: () => phone.act("hang_up") }, h("span", {}, icon("voice")), "Decline"),
      h("button", { type: "button", class: "call yes", onclick: () => phone.act("answer") }, h("span", {}, icon("voice")), "Answer")),
  ].filter(Boolean);
}

function running(place, phone) {
  place.timer = h("p", { class: "timer" });
  place.lines = h("div", { class: "lines", role: "log", "aria-label": "What is spoken", tabindex: "0" });
  const loud = h("button", { type: "button", class: "side", "aria-pressed": String(speaker), onclick: () => {
    speaker = !speaker;
    if (!speaker) window.speechSynthesis?.cancel();
    loud.setAttribute("aria-pressed", String(speaker));
  } }, icon("speaker"), "Read aloud");
  const pad = h("div", { class: "keypad", role: "group", "aria-label": "Keypad" }, KEYS.map(([key, letters]) =>
    h("button", { type: "button", onclick: () => phone.act("press", { key }) }, key, h("small", { "aria-hidden": "true" }, letters))));
  const call = phone.person.items.findLast((item) => item.type === "call");
  return [
    h("div", { class: "caller" }, h("p", { class: "number" }, call.other), place.timer),
    place.lines, pad,
    h("div", { class: "choices low" }, loud, h("button", { type: "button", class: "call no", onclick: () => phone.act("hang_up") }, h("span", {}, icon("voice")), "Hang up"), h("span", { class: "side ghost" })),
  ];
}

function captions(place, call) {
  place.lines.replaceChildren(...call.lines.map((line, index) => caption(line, index === call.lines.length - 1)));
  place.lines.scrollTop = place.lines.scrollHeight;
  place.querySelector(".keypad").classList.toggle("wanted", call.wants_key);
  if (!speaker || !window.speechSynthesis) return;
  for (const line of call.lines) {
    const key = `${call.id} ${line.at} ${line.text}`;
    if (line.kind !== "say" || spoken.has(key)) continue;
    spoken.add(key);
    const words = new SpeechSynthesisUtterance(line.text);
    words.lang = line.language;
    window.speechSynthesis.speak(words);
  }
}

function caption(line, last) {
  if (line.kind === "key") return h("p", { class: "key" }, h("span", { class: "hidden" }, "Pressed "), h("kbd", {}, line.text));
  if (line.kind === "note") return h("p", { class: "aside" }, line.text);
  return h("p", { class: `say ${last ? "last" : ""}`, lang: line.language || null, dir: "auto" },
    line.text, line.voice || line.language ? h("small", { lang: "en" }, [line.voice, line.language].filter(Boolean).join(" · ")) : null);
}

export function tickCall(place) {
  if (!place?.call?.answered_at || !place.timer) return;
  const seconds = Math.max(0, Math.floor((now() - place.call.answered_at) / 1000));
  place.timer.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

export function recents(list, phone) {
  return [...list].reverse().map((call, index) => {
    const seconds = call.answered_at && call.ended_at ? Math.max(1, Math.round((call.ended_at - call.answered_at) / 1000)) : 0;
    const fate = call.ended_at === null ? "Now" : ENDINGS[call.status] ?? call.status;
    const who = HEARD[call.answered_by] ? `, answered by ${HEARD[call.answered_by]}` : "";
    return h("details", { class: `recent ${seconds ? "" : "missed"}`, open: index === 0 },
      h("summary", {}, h("span", { class: "dir", "aria-hidden": "true" }, call.mine ? "↗" : "↙"),
        h("span", { class: "recent-what" }, h("b", {}, call.other), h("span", {}, seconds ? `${seconds} s${who}` : fate)), h("time", {}, clock(call.at, phone.person.time_zone))),
      call.lines.length ? h("div", { class: "transcript" }, call.lines.map((line) => caption(line, false))) : h("p", { class: "aside" }, "Nothing was said."));
  });
}
