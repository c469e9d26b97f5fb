// Suit un compte ou un paiement : relit la part vivante de la page, et la remplace quand elle a changé.
"use strict";

const INTERVALLE_MS = 700; // Le compte doit dire un paiement dans les deux secondes.
const PATIENCE_MS = 45 * 60 * 1000; // Au-delà, la personne actualise elle-même.
const début = Date.now();
const zone = document.querySelector("[data-suivi]");
const canal = "BroadcastChannel" in window ? new BroadcastChannel("creances") : null;

function attend() {
  return zone.querySelector("[data-suivre]") !== null;
}

async function relire() {
  const réponse = await fetch(zone.dataset.suivi, { credentials: "same-origin", cache: "no-store" });
  if (réponse.redirected || réponse.status === 401) {
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
  titrer();
  canal?.postMessage("change");
}

function titrer() {
  const fini = zone.querySelector("[data-titre]")?.dataset.titre;
  if (fini) document.title = fini;
}

function préparer(racine) {
  for (const bouton of racine.querySelectorAll("[data-imprimer]")) bouton.hidden = false;
}

async function suivre() {
  try {
    if (!document.hidden) await relire();
  } catch {
    // Le réseau manque : le prochain regard réussira peut-être.
  }
  if (attend() && Date.now() - début < PATIENCE_MS) setTimeout(suivre, INTERVALLE_MS);
}

if (zone) {
  préparer(zone);
  zone.addEventListener("click", (clic) => {
    if (clic.target.closest("[data-imprimer]")) window.print();
  });
  if (attend()) setTimeout(suivre, INTERVALLE_MS);
  // Un autre onglet a vu un changement, ou la personne revient à celui-ci.
  if (canal) canal.onmessage = () => relire().catch(() => {});
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) suivre();
  });
}
