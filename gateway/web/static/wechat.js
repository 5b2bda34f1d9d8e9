// Looks every few seconds whether the code has been scanned, and goes on when it has. Without it there is a button.

const card = document.querySelector("[data-wechat]");

async function look() {
  try {
    const answer = await fetch(card.dataset.wechat, { cache: "no-store" });
    if (answer.ok && !(await answer.json()).waits) {
      location.replace(card.dataset.next);
      return;
    }
  } catch {
    // Offline for a moment: look again.
  }
  setTimeout(look, 3000);
}

if (card) setTimeout(look, 3000);
