// The Messages app.

import { clock, day, h, linked } from "./dom.js";

export function texts(list, phone) {
  const nodes = [];
  let before = null;
  for (const item of list) {
    const zone = phone.person.time_zone;
    if (!before || item.at - before.at > 900000 || item.other !== before.other) {
      nodes.push(h("p", { class: "when" }, item.other, h("br"), `${day(item.at, zone)} ${clock(item.at, zone)}`));
    }
    nodes.push(h("div", { class: `bubble ${item.mine ? "mine" : "theirs"}`, dir: "auto" }, h("span", { class: "hidden" }, item.mine ? "You: " : "Company: "), linked(item.body)));
    before = item;
  }
  if (before && !before.mine) nodes.push(h("p", { class: "receipt" }, before.status === "delivered" ? "Delivered" : "No receipt yet"));
  return nodes;
}
