// The wall: one small phone per person, those with news first.

import { clock, day, h, hue, icon } from "./dom.js";
import { now } from "./main.js";

const FILTERS = {
  all: ["Everyone", () => true],
  active: ["With traffic", (person) => person.total > 0],
  unread: ["Unread", (person) => person.unread > 0],
  call: ["On a call", (person) => person.call !== null],
};
// A storm reaches thousands of strangers: more phones than this nobody looks at, and the browser stays quick.
const MOST = 400;
const CALLS = { queued: "Calling…", ringing: "Incoming call", "in-progress": "On a call" };
const KINDS = { sms: "Messages", voice: "Phone", email: "Mail", wechat: "WeChat" };

export class Wall {
  constructor(people, open) {
    this.people = people;
    this.open = open;
    this.held = null;
    this.filter = "all";
    this.nodes = new Map();
    this.list = document.getElementById("wall");
    this.search = document.getElementById("search");
    this.search.addEventListener("input", () => this.draw());
    this.buttons = Object.entries(FILTERS).map(([name, [words]]) => {
      const count = h("span", { class: "n" });
      const button = h("button", { type: "button", onclick: () => { this.filter = name; this.draw(); } }, words, count);
      return { name, button, count };
    });
    document.getElementById("filters").append(...this.buttons.map(({ button }) => button));
  }

  draw() {
    const everyone = [...this.people.values()];
    for (const { name, button, count } of this.buttons) {
      const [, fits] = FILTERS[name];
      count.textContent = String(everyone.filter(fits).length);
      button.setAttribute("aria-pressed", String(name === this.filter));
    }
    const words = this.search.value.trim().toLowerCase();
    const shown = everyone
      .filter((person) => FILTERS[this.filter][1](person) && (!words || haystack(person).includes(words)))
      .sort((a, b) => Number(b.call !== null) - Number(a.call !== null) || b.touched - a.touched)
      .slice(0, MOST);
    document.getElementById("none").hidden = shown.length > 0;
    const nodes = shown.map((person) => this.node(person));
    const wanted = new Set(nodes);
    for (const node of [...this.list.children]) if (!wanted.has(node)) node.remove();
    nodes.forEach((node, place) => {
      if (this.list.children[place] !== node) this.list.insertBefore(node, this.list.children[place] ?? null);
    });
  }

  node(person) {
    let node = this.nodes.get(person.id);
    if (!node) {
      node = small(person, () => this.open(person.id));
      this.nodes.set(person.id, node);
    }
    if (node.shown !== person) fill(node, person);
    node.shown = person;
    node.classList.toggle("held", person.id === this.held);
    return node;
  }

  forget(id) {
    this.people.delete(id);
    this.nodes.delete(id);
  }

  tick() {
    for (const node of this.list.children) {
      const words = clock(now(), node.shown.time_zone);
      if (node.time.textContent !== words) node.time.textContent = words;
    }
  }

  focus(id) {
    this.nodes.get(id)?.button.focus();
  }
}

function haystack(person) {
  return [person.id, person.name, person.phone, person.email, person.openid, person.locale, person.note].join(" ").toLowerCase();
}

function small(person, onclick) {
  const node = h("li", { class: "small", vars: { hue: hue(person.id) } });
  node.time = h("span", { class: "big-time" });
  node.date = h("span", { class: "date" });
  node.stack = h("span", { class: "stack" });
  node.badge = h("span", { class: "unread", hidden: true });
  node.label = h("span", { class: "name" });
  node.note = h("span", { class: "note" });
  const frame = h("span", { class: "frame" }, h("span", { class: "lock" }, h("span", { class: "island" }), node.time, node.date, node.stack), node.badge);
  node.button = h("button", { type: "button", onclick }, frame, node.label, node.note);
  node.append(node.button);
  return node;
}

function fill(node, person) {
  node.time.textContent = clock(now(), person.time_zone);
  node.date.textContent = day(now(), person.time_zone);
  node.label.textContent = person.name;
  node.note.textContent = person.note || person.phone || person.email;
  node.note.title = person.note;
  node.badge.hidden = person.unread === 0;
  node.badge.textContent = person.unread > 99 ? "99+" : String(person.unread);
  node.classList.toggle("ringing", person.call === "ringing");
  node.classList.toggle("talking", person.call === "in-progress");
  const cards = person.call ? [callCard(person)] : [];
  for (const item of person.latest.slice(0, person.call ? 1 : 2)) cards.push(card(item));
  node.stack.replaceChildren(...cards);
  const state = [CALLS[person.call], person.unread ? `${person.unread} unread` : "", person.latest[0]?.text, person.note];
  node.button.setAttribute("aria-label", [person.name, ...state.filter(Boolean)].join(", "));
}

function callCard(person) {
  return h("span", { class: "card live" }, icon("voice"), h("span", { class: "card-text" }, h("b", {}, CALLS[person.call] ?? "Call")));
}

function card(item) {
  return h("span", { class: `card ${item.kind}` }, icon(item.kind),
    h("span", { class: "card-text" }, h("b", {}, item.mine ? "You" : KINDS[item.kind]), h("span", { dir: "auto" }, item.text)));
}
