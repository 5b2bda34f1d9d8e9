// Small tools for building the page: every text goes in as text, never as markup.

const ICONS = {
  sms: "M4 4h16a2 2 0 0 1 2 2v9a2 2 0 0 1-2 2H9l-5 4v-4a2 2 0 0 1-2-2V6a2 2 0 0 1 2-2z",
  voice: "M6.6 3.2 9 3a1 1 0 0 1 1 .7l1.1 3.5a1 1 0 0 1-.3 1L9 9.9a12 12 0 0 0 5.1 5.1l1.7-1.8a1 1 0 0 1 1-.3l3.5 1.1a1 1 0 0 1 .7 1l-.2 2.4a3 3 0 0 1-3.2 2.8A16.6 16.6 0 0 1 3.8 6.4a3 3 0 0 1 2.8-3.2z",
  email: "M4 5h16a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2zm0 2.4V8l8 5 8-5v-.6L12 12z",
  wechat: "M9.2 3C4.7 3 1.5 5.9 1.5 9.3c0 2 1.1 3.7 2.8 4.8l-.8 2.4 2.8-1.4c.9.2 1.8.4 2.8.4h.5a5.6 5.6 0 0 1-.3-1.7c0-3.2 3-5.7 6.7-5.7h.6C15.9 5.1 12.9 3 9.2 3zm-2.5 4.9a1 1 0 1 1 0-2 1 1 0 0 1 0 2zm5 0a1 1 0 1 1 0-2 1 1 0 0 1 0 2zM22.5 13.8c0-2.7-2.7-4.9-6-4.9s-6 2.2-6 4.9 2.7 4.9 6 4.9c.7 0 1.4-.1 2-.3l2.2 1.2-.6-2c1.5-.9 2.4-2.3 2.4-3.8zm-8-1a.8.8 0 1 1 0-1.6.8.8 0 0 1 0 1.6zm4 0a.8.8 0 1 1 0-1.6.8.8 0 0 1 0 1.6z",
  back: "M15 5l-7 7 7 7",
  send: "M3 11.5 21 3l-6.5 18-3.5-7.5z",
  keypad: "M6 4h2v2H6zM11 4h2v2h-2zM16 4h2v2h-2zM6 9h2v2H6zM11 9h2v2h-2zM16 9h2v2h-2zM6 14h2v2H6zM11 14h2v2h-2zM16 14h2v2h-2zM11 19h2v2h-2z",
  speaker: "M4 9v6h4l5 4V5L8 9zM16 8.5a5 5 0 0 1 0 7M18.5 6a8.5 8.5 0 0 1 0 12",
  clip: "M8 12.5 14 6.5a3 3 0 0 1 4.3 4.3l-7.5 7.5a5 5 0 0 1-7-7l7-7",
};

export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") node.className = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "vars") for (const [key, of] of Object.entries(value)) node.style.setProperty(`--${key}`, of);
    else if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export function icon(name, extra = "") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `icon icon-${name} ${extra}`);
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

const LINK = /https?:\/\/[^\s<>"')\]，。、]+/g;

export function linked(text) {
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(LINK)) {
    parts.push(text.slice(end, found.index), outside(found[0], found[0]));
    end = found.index + found[0].length;
  }
  return [...parts, text.slice(end)].filter(Boolean);
}

export function outside(url, words) {
  return h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, words);
}

export function clock(at, zone) {
  const form = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  try {
    return new Intl.DateTimeFormat("en-GB", zone ? { ...form, timeZone: zone } : form).format(at);
  } catch {
    return new Intl.DateTimeFormat("en-GB", form).format(at);
  }
}

export function day(at, zone) {
  const form = { weekday: "short", day: "numeric", month: "short" };
  try {
    return new Intl.DateTimeFormat("en-GB", zone ? { ...form, timeZone: zone } : form).format(at);
  } catch {
    return new Intl.DateTimeFormat("en-GB", form).format(at);
  }
}

// Hand-picked hues, so that no wallpaper comes out muddy; neighbours in the list of people differ.
const HUES = [212, 258, 328, 190, 20, 240, 282, 348, 176, 302, 204, 36];

export function hue(text) {
  let sum = 0;
  for (const char of text) sum = (Math.imul(sum, 33) ^ char.codePointAt(0)) >>> 0;
  return String(HUES[(Math.imul(sum, 2654435761) >>> 16) % HUES.length]);
}

export function initials(name) {
  const plain = name.replace(/[(（].*$/, "").trim() || name;
  return /\p{Script=Han}/u.test(plain) ? plain.slice(-2) : plain.replace(/^\+/, "").slice(0, 1).toUpperCase();
}

export function avatar(person, extra = "") {
  return h("span", { class: `avatar ${extra}`, vars: { hue: hue(person.id) }, "aria-hidden": "true" }, initials(person.name));
}

export async function post(path, body = {}) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Phones": "1" },
    body: JSON.stringify(body),
  });
  return answer.ok;
}
