// The preference centre works without this. It adds: dragging a line to its place, and staying where one was.
"use strict";

const EDGE = 56; // px from the edge of the screen, where it begins to scroll
const PLACE = "place:" + location.pathname;

function keepPlace() {
  addEventListener("submit", () => sessionStorage.setItem(PLACE, String(scrollY)));
  const kept = sessionStorage.getItem(PLACE);
  sessionStorage.removeItem(PLACE);
  if (kept !== null && new URLSearchParams(location.search).has("done")) {
    // After the browser has moved to what has the focus now.
    const back = () => requestAnimationFrame(() => scrollTo({ top: Number(kept), behavior: "instant" }));
    addEventListener("load", () => requestAnimationFrame(back));
  }
}

function send(list) {
  const form = document.createElement("form");
  form.method = "post";
  form.action = list.dataset.sort;
  const order = [...list.children].map((line) => line.dataset.channel).join(",");
  const fields = { do: "sort", order, kind: list.dataset.kind, seen: list.dataset.seen };
  for (const [name, value] of Object.entries(fields)) {
    const field = document.createElement("input");
    field.type = "hidden";
    field.name = name;
    field.value = value;
    form.append(field);
  }
  document.body.append(form);
  form.requestSubmit();
}

function sortable(list) {
  let held = null;
  let before = "";
  let grabbed = 0;
  let pointer = null;
  const names = () => [...list.children].map((line) => line.dataset.channel).join();

  function scrolling() {
    if (!held) return;
    const past = Math.max(0, pointer.clientY - innerHeight + EDGE) - Math.max(0, EDGE - pointer.clientY);
    if (past !== 0) {
      scrollBy({ top: past / 4, behavior: "instant" });
      follow(pointer);
    }
    requestAnimationFrame(scrolling);
  }

  function follow(event) {
    pointer = event;
    held.style.translate = "";
    const height = (line) => line.getBoundingClientRect();
    let next = held.nextElementSibling;
    let last = held.previousElementSibling;
    while (next && event.clientY - grabbed + height(held).height > height(next).top + height(next).height / 2) {
      held.before(next); // the others move: the pointer would lose a line that is taken out
      next = held.nextElementSibling;
    }
    while (last && event.clientY - grabbed < height(last).top + height(last).height / 2) {
      held.after(last);
      last = held.previousElementSibling;
    }
    held.style.translate = `0 ${event.clientY - grabbed - height(held).top}px`;
    [...list.children].forEach((line, place) => (line.querySelector(".number").textContent = place + 1));
  }

  function drop() {
    if (!held) return;
    held.style.translate = "";
    held.classList.remove("held");
    document.documentElement.classList.remove("sorting");
    held = null;
    if (names() !== before) send(list);
  }

  for (const grip of list.querySelectorAll(".grip")) {
    grip.hidden = false;
    grip.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      held = grip.closest(".way");
      before = names();
      grabbed = event.clientY - held.getBoundingClientRect().top;
      grip.setPointerCapture(event.pointerId);
      held.classList.add("held");
      document.documentElement.classList.add("sorting");
      pointer = event;
      requestAnimationFrame(scrolling);
    });
    grip.addEventListener("pointermove", (event) => held && follow(event));
    grip.addEventListener("pointerup", drop);
    grip.addEventListener("pointercancel", drop);
  }
}

keepPlace();
for (const list of document.querySelectorAll("[data-sort]")) if (list.children.length > 1) sortable(list);
for (const hint of document.querySelectorAll(".drag")) hint.hidden = false;
