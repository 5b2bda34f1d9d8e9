// The WeChat app: the conversation with the official account.

import { clock, h, linked, outside } from "./dom.js";

// A real account gives each field a label of its own; here the field's type has to do.
const LABELS = { thing: "About", time: "Time", date: "Date", phrase: "Status", character_string: "Number", number: "Number", amount: "Amount", phone_number: "Phone", name: "Name", const: "Kind" };

function label(name) {
  return LABELS[name.replace(/\d+$/, "")] ?? name;
}

export function chatHead(phone) {
  const follows = phone.person.following;
  return [
    h("span", { class: "sub" }, follows ? "Official account" : "Not following"),
    h("button", { type: "button", class: "pill", onclick: () => scan(phone) }, "Scan"),
    h("button", { type: "button", class: "pill", onclick: () => phone.act(follows ? "unfollow" : "follow") }, follows ? "Unfollow" : "Follow"),
  ];
}

function scan(phone) {
  const text = window.prompt("What does the code hold? Copy it from the page that shows the code.");
  if (text?.trim()) phone.act("scan", { text });
}

// The account's own menu, every entry as a button; null while the account has none.
export function chatMenu(phone) {
  const entries = phone.person.menu ?? [];
  if (!entries.length) return null;
  return h("div", { class: "menu", role: "group", "aria-label": "Menu of the account" },
    entries.map(({ name, key }) => h("button", { type: "button", class: "pill", onclick: () => phone.act("menu", { key }) }, name)));
}

export function chats(list, phone) {
  return list.map((item) => {
    const time = clock(item.at, phone.person.time_zone);
    if (item.kind === "event") return h("p", { class: "when" }, `${time} · ${phone.person.name} ${item.text}`);
    if (item.kind === "template") return template(item, time);
    return h("div", { class: `bubble ${item.mine ? "mine" : "theirs"}`, dir: "auto" }, h("span", { class: "hidden" }, item.mine ? "You: " : "Company: "), linked(item.text));
  });
}

function template(item, time) {
  return h("article", { class: "template" },
    h("header", {}, h("strong", {}, "Service notice"), h("time", {}, time)),
    h("dl", {}, item.fields.map(([name, value]) => h("div", {}, h("dt", {}, label(name)), h("dd", { dir: "auto" }, value)))),
    item.url ? h("footer", {}, outside(item.url, "View details")) : null);
}
