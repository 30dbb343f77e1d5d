// The filter stands in the address (#words=...&kind=...), so that a view can be sent as a link.
"use strict";
const cards = [...document.querySelectorAll("article")];
const form = document.querySelector(".filter");
const words = document.getElementById("words"), kind = document.getElementById("kind");
const kinds = new Map(cards.map(card => [card, new Set(JSON.parse(card.dataset.kinds))])), counts = new Map();
for (const card of cards) for (const name of kinds.get(card)) counts.set(name, (counts.get(name) || 0) + 1);
for (const [name, count] of [...counts].sort()) kind.add(new Option(name + " (" + count + ")", name));
const texts = new Map();
const textOf = card => {
  if (!texts.has(card)) texts.set(card, card.textContent.toLowerCase());
  return texts.get(card);
};
function show() {
  const sought = words.value.trim().toLowerCase();
  let shown = 0;
  for (const card of cards) {
    card.hidden = Boolean((kind.value && !kinds.get(card).has(kind.value)) || (sought && !textOf(card).includes(sought)));
    shown += !card.hidden;
  }
  document.getElementById("shown").value = shown + " of " + cards.length;
}
function read() {
  const asked = new URLSearchParams(location.hash.slice(1));
  words.value = asked.get("words") || "";
  kind.value = counts.has(asked.get("kind")) ? asked.get("kind") : "";
  show();
}
function write() {
  const asked = new URLSearchParams();
  if (words.value) asked.set("words", words.value);
  if (kind.value) asked.set("kind", kind.value);
  history.replaceState(null, "", "#" + asked);
  show();
}
form.addEventListener("input", write);
form.addEventListener("submit", event => event.preventDefault());
addEventListener("hashchange", read);
form.hidden = cards.length < 2;
read();
for (const image of document.images) {
  const told = () => { if (!image.naturalWidth) image.parentElement.classList.add("broken"); };
  if (image.complete) told(); else { image.addEventListener("load", told); image.addEventListener("error", told); }
}
