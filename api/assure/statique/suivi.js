// Suit un compte ou un paiement : relit la part vivante de la page, et la remplace quand elle a changé.
"use strict";

const INTERVALLE_MS = 700; // Le compte doit dire un paiement dans les deux secondes.
const SOUTENU_MS = 60 * 1000; // Une réponse qui tarde davantage se demande moins souvent.
const INTERVALLE_MAX_MS = 15 * 1000;
const PATIENCE_MS = 45 * 60 * 1000; // Au-delà, la personne actualise elle-même.
const début = Date.now();
const zone = document.querySelector("[data-suivi]");
const canal = new BroadcastChannel("creances");
let minuterie = 0;

function attend() {
  return zone.querySelector("[data-suivre]") !== null && Date.now() - début < PATIENCE_MS;
}

async function relire() {
  const réponse = await fetch(zone.dataset.suivi, { credentials: "same-origin", cache: "no-store" });
  if (réponse.status === 401) {
    location.reload(); // La session est finie : la page entière le dira.
    return;
  }
  if (!réponse.ok) return;
  const lu = new DOMParser().parseFromString(await réponse.text(), "text/html").body;
  // Ce que la personne a déplié le reste.
  for (const déplié of zone.querySelectorAll("details[open][id]")) {
    lu.querySelector("#" + CSS.escape(déplié.id))?.setAttribute("open", "");
  }
  préparer(lu);
  if (lu.innerHTML.trim() === zone.innerHTML.trim()) return;
  const tenu = document.activeElement?.getAttribute("href");
  zone.replaceChildren(...lu.childNodes);
  if (tenu) zone.querySelector(`a[href="${CSS.escape(tenu)}"]`)?.focus();
  document.title = zone.querySelector("[data-titre]")?.dataset.titre ?? document.title;
  canal.postMessage("change");
}

function préparer(racine) {
  for (const bouton of racine.querySelectorAll("[data-imprimer]")) bouton.hidden = false;
}

async function suivre() {
  clearTimeout(minuterie);
  try {
    if (!document.hidden) await relire();
  } catch {
    // Le réseau manque : le prochain regard réussira peut-être.
  }
  attendre();
}

function attendre() {
  clearTimeout(minuterie);
  const âge = Date.now() - début;
  const intervalle = âge < SOUTENU_MS ? INTERVALLE_MS : Math.min(âge / 20, INTERVALLE_MAX_MS);
  if (attend()) minuterie = setTimeout(suivre, intervalle);
}

préparer(zone);
zone.addEventListener("click", (clic) => {
  if (clic.target.closest("[data-imprimer]")) window.print();
});
// Un autre onglet vient de s'ouvrir ou de changer, ou la personne revient à celui-ci.
canal.addEventListener("message", suivre);
document.addEventListener("visibilitychange", suivre);
canal.postMessage("change");
attendre();
