// À la borne : demande si la personne est encore là, prolonge sa session si elle l'est, efface tout sinon.
"use strict";

const veille = document.querySelector("#veille");
const inactiviteMs = Number(veille.dataset.inactiviteS) * 1000;
const preavisMs = Math.min(30_000, inactiviteMs / 2);
let active = Date.now();
let prolongee = Date.now();

async function prolonger() {
  prolongee = Date.now();
  const corps = new URLSearchParams({ jeton: veille.dataset.jeton });
  const reponse = await fetch("/presence", { method: "POST", body: corps, credentials: "same-origin" });
  if (!reponse.ok) partir();
}

function signaler() {
  if (!veille.hidden) return; // Le préavis se répond par son bouton.
  active = Date.now();
  if (active - prolongee > inactiviteMs / 4) prolonger().catch(() => {});
}

function partir() {
  location.replace("/inactivite");
}

function regarder() {
  const depuis = Date.now() - active;
  if (depuis >= inactiviteMs) {
    partir();
  } else if (veille.hidden && depuis >= inactiviteMs - preavisMs) {
    veille.hidden = false;
    document.querySelector("#veille-rester").focus();
  }
}

document.querySelector("#veille-rester").addEventListener("click", () => {
  veille.hidden = true;
  active = Date.now();
  prolonger().catch(partir);
});
for (const geste of ["pointerdown", "keydown", "scroll"]) {
  document.addEventListener(geste, signaler, { passive: true });
}
// Une page rendue telle que quittée ne doit rien montrer d'une session finie.
window.addEventListener("pageshow", (retour) => {
  if (retour.persisted) location.reload();
});
setInterval(regarder, 250);
