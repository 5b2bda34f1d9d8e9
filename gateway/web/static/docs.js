// Copy buttons and the filter: the page is complete without them.
"use strict";

for (const block of document.querySelectorAll(".code")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(block.querySelector("pre").textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(block.querySelector("pre"));
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  block.append(button);
}

const field = document.getElementById("filter");
field.closest("p").hidden = false;
field.addEventListener("input", () => {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const article of document.querySelectorAll("article[data-find]")) {
    const shown = words.every((word) => article.dataset.find.includes(word));
    article.hidden = !shown;
    const entry = document.querySelector(`nav a[href="#${article.id}"]`);
    if (entry) entry.parentElement.hidden = !shown;
  }
});
