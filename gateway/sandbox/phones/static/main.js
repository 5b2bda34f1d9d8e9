// The page's state and its one source of news: server-sent events.

import { showCarriers } from "./carriers.js";
import { Phone } from "./phone.js";
import { Wall } from "./wall.js";

const people = new Map();
const wall = new Wall(people, open);
const phone = new Phone(document.getElementById("hand"), close);
let serverAhead = 0;
let redraw = 0;

export function now() {
  return Date.now() + serverAhead;
}

function open(id) {
  if (location.hash.slice(1) === encodeURIComponent(id)) phone.hold(id);
  else location.hash = encodeURIComponent(id);
}

function close() {
  const id = phone.id;
  history.replaceState(null, "", location.pathname);
  follow();
  wall.focus(id);
}

function follow() {
  const id = decodeURIComponent(location.hash.slice(1));
  phone.hold(people.has(id) ? id : null);
  wall.held = phone.id;
  wall.draw();
}

function take(news) {
  serverAhead = news.now - Date.now();
  if (news.first) people.clear();
  for (const person of news.people) people.set(person.id, person);
  if (people.size > 2000) {
    const strangers = [...people.values()].filter((person) => person.id.includes(":") && person.id !== phone.id);
    for (const person of strangers.sort((a, b) => a.touched - b.touched).slice(0, 1000)) wall.forget(person.id);
  }
  showCarriers(news.carriers, news.problems);
  if (news.first) follow();
  else if (phone.id && news.people.some((person) => person.id === phone.id)) phone.refresh();
  // A storm changes many phones a second: the wall is drawn at most once per frame, and never while hidden.
  if (!redraw) redraw = requestAnimationFrame(() => { redraw = 0; wall.draw(); });
}

function connect() {
  const stream = new EventSource("/api/live");
  stream.onopen = () => online(true);
  stream.onmessage = (event) => take(JSON.parse(event.data));
  // EventSource connects again by itself; the first event after that is a whole snapshot.
  stream.onerror = () => online(false);
}

function online(is) {
  document.getElementById("link").dataset.up = String(is);
  document.getElementById("link-text").textContent = is ? "Live" : "Waiting for the sandbox…";
}

window.addEventListener("hashchange", follow);
window.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && phone.id) close();
  if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement?.tagName ?? "")) {
    event.preventDefault();
    document.getElementById("search").focus();
  }
});
setInterval(() => { wall.tick(); phone.tick(); }, 1000);
connect();
