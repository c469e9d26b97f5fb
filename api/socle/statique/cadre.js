// Le cadre de toutes les pages : le menu se ferme par Échap et par un toucher dehors, « Imprimer » imprime, ce qui est
// tapé n'est pas perdu, et rien de ce qui est gardé dans l'onglet ne passe d'une personne à la suivante.
"use strict";

const menu = document.querySelector("details.menu");

document.addEventListener("keydown", (touche) => {
  if (touche.key !== "Escape" || !menu?.open) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});
document.addEventListener("pointerdown", (toucher) => {
  if (menu?.open && !menu.contains(toucher.target)) menu.open = false;
});
function montrerImprimer(racine) {
  for (const bouton of racine.querySelectorAll("[data-imprimer]")) bouton.hidden = false;
}
montrerImprimer(document);
document.addEventListener("click", (clic) => {
  if (clic.target.closest("[data-imprimer]")) window.print();
});

// Ce qui est gardé ici l'est pour une personne : à une autre, ou une fois déconnectée, rien n'en reste.
const { personne, deconnectee } = document.body.dataset;
if (deconnectee !== undefined || (personne && sessionStorage.getItem("personne") !== personne)) sessionStorage.clear();
if (personne) sessionStorage.setItem("personne", personne);
// Se déconnecter efface aussi ce qui était gardé pour revenir.
document.querySelector('form[action="/deconnexion"]')?.addEventListener("submit", () => sessionStorage.clear());

// Ce qui est tapé dans un champ `data-garder` survit à un envoi que la fin de la session, ou une panne, a empêché.
const { suspendu } = document.body.dataset;
const tapes = () => Object.keys(sessionStorage).filter((une) => une.startsWith("tape:"));
const clefDe = (champ) => `tape:${new URL(champ.form.action).pathname}#${champ.id || champ.name}`;
document.addEventListener("submit", ({ target }) => {
  for (const champ of target.querySelectorAll("[data-garder]")) sessionStorage.setItem(clefDe(champ), champ.value);
});
if (suspendu !== undefined || !personne) {
  if (tapes().length > 0) sessionStorage.setItem("tapes-suspendues", "oui");
} else if (sessionStorage.getItem("tapes-suspendues") === null) {
  for (const clef of tapes()) sessionStorage.removeItem(clef); // L'envoi est arrivé.
} else {
  for (const champ of document.querySelectorAll("[data-garder]")) {
    const garde = sessionStorage.getItem(clefDe(champ));
    if (garde === null) continue;
    champ.value ||= garde;
    champ.closest("details")?.setAttribute("open", "");
    sessionStorage.removeItem(clefDe(champ));
  }
  if (tapes().length === 0) sessionStorage.removeItem("tapes-suspendues");
}
