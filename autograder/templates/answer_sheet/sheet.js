"use strict";
// Grading by keyboard. The page shows points only after the server has saved them; changes are saved one by one.

const base = document.body.dataset.base;
const maxPoints = Number(document.body.dataset.maxPoints);
const answers = Array.from(document.querySelectorAll(".answer"));
const message = document.getElementById("message");
const done = []; // changes made on this page, in order; undo reverts the last
let current = 0;
let typed = ""; // digits typed so far for the current answer
let saving = Promise.resolve();

const stateOf = (answer) => JSON.parse(answer.dataset.state);
const parts = (answer) => ({
  points: answer.querySelector(".points output"),
  note: answer.querySelector(".note"),
  comment: answer.querySelector(".comment"),
  field: answer.querySelector("textarea"),
});

function show(answer) {
  const state = stateOf(answer);
  const { points, note, comment } = parts(answer);
  const given = state.points ?? state.auto;
  points.value = given === null ? "–" : String(given);
  note.textContent = noteOn(state);
  comment.textContent = state.comment;
  answer.classList.toggle("waits", state.waits);
}

function noteOn(state) {
  if (state.waits) return state.points === null ? "ungraded" : "changed since it was graded: give points again";
  return state.points === null && state.auto === 0 ? "no response" : "";
}

function showProgress() {
  const graded = answers.filter((answer) => !stateOf(answer).waits).length;
  document.getElementById("graded").value = `${graded} of ${answers.length} graded`;
  document.getElementById("share").style.width = `${(100 * graded) / Math.max(1, answers.length)}%`;
}

function say(text, calm = false) {
  message.value = text;
  message.classList.toggle("calm", calm);
}

function keep(answer, state) {
  answer.dataset.state = JSON.stringify(state);
  show(answer);
  showProgress();
}

function save(answer, change, undoing = false) {
  // Changes are sent one after the other, because each must state the revision that the one before has produced.
  saving = saving.then(() => send(answer, change, undoing));
  return saving;
}

async function send(answer, change, undoing) {
  const before = stateOf(answer);
  const wanted = { points: before.points, comment: before.comment, ...change };
  const isSame = wanted.points === before.points && wanted.comment === before.comment;
  if (isSame && !(before.waits && "points" in change)) return;
  answer.classList.add("busy");
  try {
    const reply = await fetch(`${base}give`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ key: answer.dataset.key, revision: before.revision, ...wanted }),
    });
    const content = await reply.json().catch(() => ({ message: `the server refused (${reply.status})` }));
    if (reply.ok) {
      keep(answer, content);
      if (!undoing && !isSame) done.push({ answer, before: { points: before.points, comment: before.comment } });
      say(undoing ? "Undone." : "Saved.", true);
      return;
    }
    await explain(answer, before, reply.status, content, wanted);
  } catch {
    say("Not saved: course answers does not reply. Check in the terminal that it is still running.");
    reopen(answer, before, wanted);
  } finally {
    answer.classList.remove("busy");
  }
}

async function explain(answer, before, status, content, wanted) {
  if (status === 409) {
    const { message: _, ...now } = content;
    const isAnotherAnswer = now.points === before.points && now.comment === before.comment;
    // The page keeps the old revision, so that nobody can grade an answer without having read it.
    keep(answer, isAnotherAnswer ? { ...now, revision: before.revision } : now);
    say(
      isAnotherAnswer
        ? "Not saved: the answer was handed in or graded again. Reload the page to read it."
        : "Not saved: somebody else has graded this answer in the meantime. The page shows their points and comment.",
    );
  } else {
    say(`Not saved: ${content.message}`);
  }
  reopen(answer, before, wanted);
}

// If a comment could not be saved, its field opens again with the text, so that nothing is lost.
function reopen(answer, before, wanted) {
  if (wanted.comment === before.comment) return;
  const { field } = parts(answer);
  go(answers.indexOf(answer));
  openComment(answer);
  field.value = wanted.comment;
}

function go(place) {
  if (place < 0 || place >= answers.length) return;
  answers[current].classList.remove("current");
  current = place;
  typed = "";
  answers[current].classList.add("current");
  answers[current].focus({ preventScroll: true });
  answers[current].scrollIntoView({ block: "nearest" });
}

function goToUngraded(from) {
  const places = answers.map((_, step) => (from + step) % answers.length);
  const next = places.find((place) => stateOf(answers[place]).waits);
  if (next === undefined) say("All answers to this question are graded.", true);
  else go(next);
}

// A digit extends the number if the result is a possible number of points; otherwise it begins another number.
function typePoints(sign) {
  const longer = typed + sign;
  const fits = /^\d{0,3}(\.\d?)?$/.test(longer) && Number(longer) <= maxPoints;
  const next = fits ? longer : sign;
  if (next !== "." && Number(next) > maxPoints) {
    say(`This question is worth ${maxPoints} points.`);
    return;
  }
  typed = next;
  if (next !== ".") save(answers[current], { points: Number(next) });
}

function takePointsBack() {
  typed = "";
  save(answers[current], { points: null });
}

async function undo() {
  await saving;
  const last = done.pop();
  if (!last) {
    say("Nothing to undo on this page.");
    return;
  }
  go(answers.indexOf(last.answer));
  await save(last.answer, last.before, true);
}

function openComment(answer) {
  const { comment, field } = parts(answer);
  if (field.hidden) field.value = stateOf(answer).comment;
  field.hidden = false;
  comment.hidden = true;
  field.focus();
  field.scrollIntoView({ block: "nearest" });
}

function closeComment(answer, keepIt) {
  const { comment, field } = parts(answer);
  const text = field.value.trim();
  field.hidden = true;
  comment.hidden = false;
  answer.focus({ preventScroll: true });
  if (keepIt) save(answer, { comment: text });
}

function toQuestion(step) {
  const links = Array.from(document.querySelectorAll("nav a"));
  const here = links.findIndex((link) => link.hasAttribute("aria-current"));
  const link = links[here + step];
  if (link) saving.then(() => location.assign(link.href));
}

const KEYS = {
  ArrowDown: () => go(current + 1),
  j: () => go(current + 1),
  ArrowUp: () => go(current - 1),
  k: () => go(current - 1),
  n: () => goToUngraded(current + 1),
  u: undo,
  e: () => answers[current].classList.toggle("whole"),
  s: () => document.getElementById("solution")?.toggleAttribute("open"),
  Backspace: takePointsBack,
  Enter: () => openComment(answers[current]),
  ArrowRight: () => toQuestion(1),
  ArrowLeft: () => toQuestion(-1),
};

function onKey(event) {
  if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("textarea")) {
    const answer = event.target.closest(".answer");
    if (event.key === "Escape") closeComment(answer, false);
    else if (event.key === "Enter" && !event.shiftKey) closeComment(answer, true);
    else return;
    event.preventDefault();
    return;
  }
  if (event.target.matches("a, summary") && event.key === "Enter") return;
  const sign = event.key === "," ? "." : event.key;
  if (/^[0-9.]$/.test(sign)) {
    typePoints(sign);
  } else if (Object.hasOwn(KEYS, event.key)) {
    typed = "";
    KEYS[event.key]();
  } else {
    return;
  }
  event.preventDefault();
}

function hasUnsavedComment() {
  return answers.some((answer) => {
    const { field } = parts(answer);
    return !field.hidden && field.value.trim() !== stateOf(answer).comment;
  });
}

// Labels and equation numbers of one answer must not clash with those of another.
function drawFormulas() {
  if (!window.MathJax?.Hub?.Queue || !window.MathJax.InputJax?.TeX) {
    setTimeout(drawFormulas, 100);
    return;
  }
  const queue = window.MathJax.Hub.Queue.bind(window.MathJax.Hub);
  for (const element of document.querySelectorAll(".typeset")) {
    queue(
      () => window.MathJax.InputJax.TeX.resetEquationNumbers?.(0, false),
      ["Typeset", window.MathJax.Hub, element],
    );
  }
  queue(() => {
    markLongOnes();
    document.body.classList.add("drawn");
  });
}

// Marks answers that are cut off; scrolling or "e" shows the rest.
function markLongOnes() {
  for (const answer of answers) {
    const work = answer.querySelector(".work");
    answer.classList.toggle("more", answer.classList.contains("whole") || work.scrollHeight > work.clientHeight + 1);
  }
}

answers.forEach((answer, place) => {
  show(answer);
  answer.addEventListener("mousedown", () => place !== current && go(place));
});
document.querySelectorAll(".picture").forEach((picture) =>
  picture.addEventListener("click", () => picture.closest(".answer").classList.toggle("whole")),
);
document.addEventListener("keydown", onKey);
window.addEventListener("beforeunload", (event) => hasUnsavedComment() && event.preventDefault());
showProgress();
markLongOnes();
go(Math.max(0, answers.findIndex((answer) => stateOf(answer).waits)));
drawFormulas();
