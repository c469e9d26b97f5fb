// Demande si la personne est encore là, prolonge sa session si elle l'est ; sinon la finit, et à la borne efface tout.
"use strict";

const veille = document.querySelector("#veille");
const alaBorne = "borne" in veille.dataset;
const inactiviteMs = Number(veille.dataset.inactiviteS) * 1000;
// Deux minutes avant, partout ; à la borne, où l'inactivité finit plus tôt, aussi tôt qu'elle le permet : à mi-temps.
const preavisMs = Math.min(120_000, inactiviteMs / 2);
const dehors = [...document.body.children].filter((un) => un !== veille && un.tagName !== "SCRIPT");
const fin = "resteS" in veille.dataset ? Date.now() + Number(veille.dataset.resteS) * 1000 : Infinity; // Que rien ne repousse.
let finDite = false;
let active = Date.now();
let prolongee = Date.now();
let tenu = null;

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
  if (!alaBorne) {
    // La page mène à la connexion, qui revient ici ; à l'étape 2, où ce qui est saisi se retrouve.
    const reference = document.querySelector("form[data-saisie]")?.elements.reference.value;
    location.assign(reference ? `/payer?reference=${encodeURIComponent(reference)}` : location.pathname + location.search);
    return;
  }
  sessionStorage.clear();
  location.replace("/inactivite");
}

// Le préavis tient le focus : rien d'autre ne se touche ni ne se lit tant qu'il est là.
function prevenir() {
  tenu = document.activeElement;
  veille.hidden = false;
  for (const un of dehors) un.inert = true;
  document.querySelector("#veille-rester").focus();
}

// La fin de la session ne se repousse pas : elle se dit deux minutes avant, une fois.
function prevenirDeLaFin() {
  finDite = true;
  veille.firstElementChild.replaceChildren(document.querySelector("#veille-fin").content.cloneNode(true));
  document.querySelector("#veille-rester").addEventListener("click", rester);
  if (veille.hidden) prevenir();
  else document.querySelector("#veille-rester").focus();
}

function rester() {
  veille.hidden = true;
  for (const un of dehors) un.inert = false;
  (tenu === document.body || !tenu?.isConnected ? document.querySelector("main") : tenu).focus();
  active = Date.now();
  prolonger().catch(partir);
}

function regarder() {
  const depuis = Date.now() - active;
  if (depuis >= inactiviteMs || Date.now() >= fin) {
    clearInterval(regard);
    partir();
  } else if (!finDite && Date.now() >= fin - 120_000) {
    prevenirDeLaFin();
  } else if (veille.hidden && depuis >= inactiviteMs - preavisMs) {
    prevenir();
  }
}

document.querySelector("#veille-rester").addEventListener("click", rester);
// Du document, et non du préavis : le focus peut être sorti de la page, et Échap se presse quand même.
document.addEventListener("keydown", (touche) => {
  if (veille.hidden) return;
  if (touche.key === "Escape") rester();
  if (touche.key !== "Tab") return;
  touche.preventDefault(); // Un seul bouton : la tabulation y reste.
  document.querySelector("#veille-rester").focus();
});
for (const geste of ["pointerdown", "keydown", "scroll"]) {
  document.addEventListener(geste, signaler, { passive: true });
}
// Une page rendue telle que quittée ne doit rien montrer d'une session finie.
window.addEventListener("pageshow", (retour) => {
  if (retour.persisted && alaBorne) location.reload();
});
const regard = setInterval(regarder, 250);
