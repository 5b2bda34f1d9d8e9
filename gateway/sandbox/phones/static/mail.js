// The Mail app: the list, and a mail shown in a sandboxed frame.

import { clock, day, h, icon, linked, outside } from "./dom.js";

let view = "html";

export function mailbox(phone, list) {
  const mail = list.find((item) => item.id === phone.openMail);
  if (mail) return reader(phone, mail);
  phone.head.replaceChildren(h("strong", {}, "Inbox"), h("span", { class: "sub" }, phone.person.email));
  phone.screen.replaceChildren(...(list.length ? [...list].reverse().map((item) => row(phone, item)) : [
    h("div", { class: "nothing" }, icon("email"), h("p", {}, "No mail yet."))]));
}

function row(phone, mail) {
  return h("button", { type: "button", class: "row", onclick: () => { phone.openMail = mail.id; view = mail.html ? "html" : "text"; phone.draw(); } },
    h("span", { class: "from" }, mail.sender.replace(/<.*>/, "").replaceAll('"', "").trim() || mail.sender), h("time", {}, clock(mail.at, phone.person.time_zone)),
    h("b", { dir: "auto" }, mail.subject || "(no subject)"), h("span", { class: "snippet", dir: "auto" }, mail.text.slice(0, 120)));
}

function reader(phone, mail) {
  const shown = `${mail.id} ${view}`;
  if (phone.screen.firstElementChild?.dataset.shown === shown) return;
  const views = [["html", "Mail"], ["text", "Text"], ["headers", "Headers"]].filter(([name]) => name !== "html" || mail.html);
  phone.head.replaceChildren(
    h("button", { type: "button", class: "round back always", "aria-label": "Back to the inbox", onclick: () => { phone.openMail = null; phone.draw(); } }, icon("back")),
    h("div", { class: "views", role: "group", "aria-label": "View" }, views.map(([name, words]) =>
      h("button", { type: "button", "aria-pressed": String(name === view), onclick: () => { view = name; phone.draw(); } }, words))));
  const leave = mail.one_click
    ? h("button", { type: "button", class: "pill", onclick: (event) => { event.target.textContent = "Asked"; phone.act("unsubscribe", { mail: mail.id }); } }, "Unsubscribe")
    : mail.unsubscribe ? h("span", { class: "pill" }, outside(mail.unsubscribe, "Unsubscribe")) : null;
  phone.screen.replaceChildren(h("article", { class: "letter", "data-shown": shown },
    h("h3", { dir: "auto" }, mail.subject || "(no subject)"),
    h("div", { class: "letter-head" }, h("div", {}, h("b", {}, mail.sender), h("span", {}, `to ${mail.to}`), h("span", {}, `${day(mail.at, phone.person.time_zone)} ${clock(mail.at, phone.person.time_zone)}`)), leave),
    mail.attachments.length ? h("p", { class: "clips" }, mail.attachments.map((name) => h("span", {}, icon("clip"), name))) : null,
    content(phone, mail)));
}

function content(phone, mail) {
  if (view === "headers") return h("dl", { class: "headers" }, mail.headers.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  if (view === "text" || !mail.html) return h("pre", { dir: "auto" }, linked(mail.text));
  return h("iframe", {
    src: `/mail/${encodeURIComponent(phone.id)}/${encodeURIComponent(mail.id)}`, title: mail.subject || "Mail",
    sandbox: "allow-popups allow-popups-to-escape-sandbox", referrerpolicy: "no-referrer",
  });
}
