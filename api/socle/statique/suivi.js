// Suit un compte ou un paiement : relit la part vivante de la page, et la remplace quand elle a changé.
"use strict";

const INTERVALLE_MS = 700; // Le compte doit dire un paiement dans les deux secondes.
const SOUTENU_MS = 60 * 1000; // Une réponse qui tarde davantage se demande moins souvent.
const INTERVALLE_MAX_MS = 15 * 1000;
const PATIENCE_MS = 45 * 60 * 1000; // Au-delà, la personne actualise elle-même.
const debut = Date.now();
const zone = document.querySelector("[data-suivi]");
const canal = new BroadcastChannel("creances");
let minuterie = 0;

function attend() {
  return zone.querySelector("[data-suivre]") !== null && Date.now() - debut < PATIENCE_MS;
}

async function relire() {
  const reponse = await fetch(zone.dataset.suivi, { credentials: "same-origin", cache: "no-store" });
  if (reponse.status === 401) {
    location.reload(); // La session est finie : la page entière le dira.
    return;
  }
  if (!reponse.ok) return;
  const lu = new DOMParser().parseFromString(await reponse.text(), "text/html").body;
  // Ce que la personne a déplié le reste.
  for (const deplie of zone.querySelectorAll("details[open][id]")) {
    lu.querySelector("#" + CSS.escape(deplie.id))?.setAttribute("open", "");
  }
  montrerImprimer(lu); // `cadre.js`.
  if (lu.innerHTML.trim() === zone.innerHTML.trim()) return;
  const tenait = zone.contains(document.activeElement);
  const tenu = document.activeElement?.getAttribute("href");
  const avant = phraseDeTete();
  zone.replaceChildren(...lu.childNodes);
  if (tenait) rendreLeFocus(tenu);
  if (phraseDeTete() !== avant) document.querySelector("#annonce").textContent = phraseDeTete();
  oublier();
  document.title = zone.querySelector("[data-titre]")?.dataset.titre ?? document.title;
  canal.postMessage("change");
}

// Ce qu'une personne qui écoute doit apprendre : la phrase du premier bandeau.
function phraseDeTete() {
  return zone.querySelector(".bandeau .fort")?.textContent ?? "";
}

// Le focus revient au même lien, sinon au titre de la page : jamais au corps du document.
function rendreLeFocus(adresse) {
  const lien = adresse && zone.querySelector(`a[href="${CSS.escape(adresse)}"]`);
  (lien || document.querySelector("main")).focus();
}

// Ce que la banque a pris ne se propose plus de soi-même : la saisie gardée s'efface, une fois par départ au kiosque.
function oublier() {
  const payees = zone.querySelector("[data-payees]")?.dataset.payees.split(" ");
  if (!payees || sessionStorage.getItem("depart") !== zone.dataset.suivi) return;
  sessionStorage.removeItem("depart");
  for (const clef of Object.keys(sessionStorage).filter((une) => une.startsWith("saisie:"))) {
    const { cochees } = JSON.parse(sessionStorage.getItem(clef));
    if (cochees.some((une) => payees.includes(une))) sessionStorage.removeItem(clef);
  }
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
  const age = Date.now() - debut;
  const intervalle = age < SOUTENU_MS ? INTERVALLE_MS : Math.min(age / 20, INTERVALLE_MAX_MS);
  if (attend()) minuterie = setTimeout(suivre, intervalle);
}

oublier();
// Un autre onglet vient de s'ouvrir ou de changer, ou la personne revient à celui-ci.
canal.addEventListener("message", suivre);
document.addEventListener("visibilitychange", suivre);
canal.postMessage("change");
attendre();
