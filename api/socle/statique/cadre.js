// Le cadre de toutes les pages : le menu se ferme par Échap et par un toucher dehors.
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
// Se déconnecter efface aussi ce qui était gardé pour revenir.
document.querySelector('form[action="/deconnexion"]')?.addEventListener("submit", () => sessionStorage.clear());
