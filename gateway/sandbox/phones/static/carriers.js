// The control bar: each carrier's state, its switch and its counter.

import { clock, h, icon, post } from "./dom.js";

const NAMES = { sms: "SMS", voice: "Voice", email: "E-mail", wechat: "WeChat" };
const STATES = {
  up: "Works",
  refuses: "Refuses everything",
  hangs: "Never answers",
  throttles: "Too busy (429)",
  silent: "Takes, no receipts",
};
const cards = new Map();

function build(name) {
  const select = h("select", { "aria-label": `${NAMES[name]}: state`, onchange: () => post(`/api/carriers/${name}`, { state: select.value }) },
    Object.entries(STATES).map(([value, words]) => h("option", { value }, words)));
  const count = h("span", { class: "count" });
  const card = h("div", { class: "carrier", "data-name": name },
    h("span", { class: "badge" }, icon(name)),
    h("div", { class: "what" }, h("strong", {}, NAMES[name]), count),
    h("span", { class: "switch" }, select));
  document.getElementById("carriers").append(card);
  cards.set(name, { card, select, count });
}

export function showCarriers(carriers, problems) {
  for (const [name, { state, accepted }] of Object.entries(carriers)) {
    if (!cards.has(name)) build(name);
    const { card, select, count } = cards.get(name);
    card.dataset.state = state;
    if (document.activeElement !== select) select.value = state;
    count.textContent = accepted === 1 ? "1 taken" : `${accepted.toLocaleString("en")} taken`;
  }
  const box = document.getElementById("problems");
  box.hidden = problems.length === 0;
  if (problems.length === 0) return;
  const last = problems[problems.length - 1];
  box.querySelector("summary").textContent = `${NAMES[last.carrier]}: ${last.text}`;
  box.querySelector("ul").replaceChildren(...[...problems].reverse().map((problem) =>
    h("li", {}, h("time", {}, clock(problem.at)), ` ${NAMES[problem.carrier]}: ${problem.text}`)));
}
