// Le cadre de toutes les pages : le menu se ferme par Échap et par un toucher dehors, « Imprimer » imprime, et rien de
// ce qui est gardé dans l'onglet ne passe d'une personne à la suivante.
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
