// The phone in the visitor's hand: four apps, and the call screen that covers them.

import { avatar, clock, h, hue, icon, post } from "./dom.js";
import { callScreen, recents, tickCall } from "./calls.js";
import { chatHead, chatMenu, chats } from "./chat.js";
import { mailbox } from "./mail.js";
import { now } from "./main.js";
import { texts } from "./texts.js";

const APPS = { sms: "Messages", voice: "Phone", email: "Mail", wechat: "WeChat" };
const TAGS = { text: "sms", call: "voice", mail: "email", chat: "wechat" };
const OWNS = { sms: "phone", voice: "phone", email: "email", wechat: "openid" };

export class Phone {
  constructor(place, close) {
    this.place = place;
    this.close = close;
    this.id = null;
    this.person = null;
    this.app = null;
    this.hiddenCall = null;
    this.openMail = null;
    this.stale = false;
    this.busy = false;
  }

  async hold(id) {
    if (id === this.id && id !== null) return this.refresh();
    this.id = id;
    this.person = null;
    this.app = null;
    this.openMail = null;
    document.body.classList.toggle("holding", id !== null);
    this.place.hidden = id === null;
    this.place.replaceChildren();
    if (id !== null) await this.refresh();
  }

  // One request at a time; news that comes meanwhile causes one more.
  async refresh() {
    this.stale = true;
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.stale && this.id) {
        this.stale = false;
        const id = this.id;
        const answer = await fetch(`/api/people/${encodeURIComponent(id)}`);
        if (!answer.ok || id !== this.id) continue;
        this.show(await answer.json());
      }
    } finally {
      this.busy = false;
    }
  }

  show(person) {
    const fresh = this.person === null;
    const known = this.person?.items.length ?? 0;
    this.person = person;
    if (fresh) this.build();
    const last = person.items[person.items.length - 1];
    if (this.app === null) this.app = last ? TAGS[last.type] : "sms";
    else if (last?.type === "call" && person.items.length > known && !fresh) this.app = "voice";
    if (person.unread > 0 && document.visibilityState === "visible") this.act("seen");
    this.draw();
    if (fresh) this.place.querySelector("h2").focus({ preventScroll: true });
  }

  act(action, body) {
    return post(`/api/people/${encodeURIComponent(this.id)}/${action}`, body);
  }

  build() {
    const { person } = this;
    this.time = h("span", { class: "bar-time" });
    this.head = h("div", { class: "app-head" });
    this.screen = h("div", { class: "screen", tabindex: "0" });
    this.foot = h("div", { class: "app-foot" });
    this.over = h("div", { class: "over", hidden: true });
    this.dock = h("nav", { class: "dock", "aria-label": "Apps" });
    this.mine = h("input", { type: "checkbox", role: "switch", onchange: () => this.act("hands_on", { on: this.mine.checked }) });
    const owner = h("header", { class: "owner" },
      h("button", { type: "button", class: "round back", "aria-label": "Back to the wall", onclick: this.close }, icon("back")),
      avatar(person), h("div", { class: "who" }, h("h2", { tabindex: "-1" }, person.name), h("p", {}, person.note || person.id)),
      h("label", { class: "answers" }, this.mine, h("span", {}, "I answer calls")));
    const body = h("div", { class: "body", vars: { hue: hue(person.id) } },
      h("div", { class: "statusbar", "aria-hidden": "true" }, this.time, h("span", { class: "island" }), h("span", { class: "bars" }, h("i"), h("i"), h("i"), h("i"), h("b"))),
      this.head, this.screen, this.foot, this.dock, this.over);
    this.place.replaceChildren(owner, h("div", { class: "device" }, body));
    this.drawn = null;
  }

  draw() {
    const { person } = this;
    this.mine.checked = person.hands_on;
    const call = person.items.findLast((item) => item.type === "call" && item.ended_at === null);
    if (!call) this.hiddenCall = null;
    this.drawDock(call);
    this.drawApp();
    const covered = Boolean(call) && this.hiddenCall !== call.id;
    this.over.hidden = !covered;
    for (const part of [this.head, this.screen, this.foot]) part.inert = covered;
    this.over.parentElement.classList.toggle("calling", covered);
    if (covered) callScreen(this.over, this, call);
    else this.over.replaceChildren();
    this.tick();
  }

  drawDock(call) {
    const counts = {};
    for (const item of this.person.items) counts[TAGS[item.type]] = (counts[TAGS[item.type]] ?? 0) + 1;
    this.dock.replaceChildren(...Object.entries(APPS).map(([name, words]) => h("button", {
      type: "button", class: `app ${name} ${name === "voice" && call ? "live" : ""}`, disabled: !this.person[OWNS[name]], "aria-label": `${words}, ${counts[name] ?? 0} items`,
      "aria-current": this.app === name ? "page" : null,
      onclick: () => { this.app = name; this.openMail = null; if (name === "voice") this.hiddenCall = null; else if (call) this.hiddenCall = call.id; this.draw(); },
    }, h("span", { class: "tile" }, icon(name)), h("span", { class: "app-name" }, words), counts[name] ? h("span", { class: "dock-n" }, String(counts[name])) : null)));
  }

  drawApp() {
    const { person, app, screen } = this;
    const list = person.items.filter((item) => TAGS[item.type] === app);
    const changed = this.drawn !== `${app} ${this.openMail}`;
    const atEnd = changed || screen.scrollHeight - screen.scrollTop - screen.clientHeight < 60;
    screen.className = `screen ${app}`;
    screen.setAttribute("aria-label", APPS[app]);
    if (app === "email") mailbox(this, list);
    else {
      this.head.replaceChildren(h("strong", {}, APPS[app]), ...(app === "wechat" ? chatHead(this) : [h("span", { class: "sub" }, person.phone)]));
      screen.replaceChildren(...(list.length ? { sms: texts, voice: recents, wechat: chats }[app](list, this) : [nothing(app)]));
    }
    if (changed || this.follows !== person.following) this.foot.replaceChildren(...this.footer(app));
    if (atEnd) screen.scrollTop = app === "email" || app === "voice" ? 0 : screen.scrollHeight;
    this.drawn = `${app} ${this.openMail}`;
    this.follows = person.following;
  }

  footer(app) {
    if (app === "email") return [];
    if (app === "voice") {
      return [h("button", { type: "button", class: "dial", onclick: () => this.act("dial") }, icon("voice"), "Call the company")];
    }
    const field = h("input", { type: "text", maxlength: "1600", autocomplete: "off", placeholder: app === "sms" ? "Text message" : "Say something", "aria-label": "Your reply" });
    const form = h("form", { class: `composer ${app}`, onsubmit: async (event) => {
      event.preventDefault();
      const text = field.value.trim();
      if (text && (await this.act(app === "sms" ? "text" : "chat", { text }))) field.value = "";
    } }, field, h("button", { class: "round", "aria-label": "Send" }, icon("send")));
    const menu = app === "wechat" && this.person.following ? chatMenu(this) : null;
    return menu ? [menu, form] : [form];
  }

  tick() {
    if (!this.person || !this.time) return;
    this.time.textContent = clock(now(), this.person.time_zone);
    tickCall(this.over);
  }
}

function nothing(app) {
  const words = {
    sms: "No texts yet. Send one with the curl line from your terminal, and it arrives here.",
    voice: "No calls yet.",
    wechat: "No WeChat messages yet.",
  };
  return h("div", { class: "nothing" }, icon(app), h("p", {}, words[app]));
}
