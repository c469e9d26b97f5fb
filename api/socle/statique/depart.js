// Étape 3 : part au kiosque sans attendre. Revenir en arrière ou recharger ne repart pas : la personne décide.
"use strict";

const depart = document.querySelector("[data-depart]");
// L'état du paiement, au retour, sait par là que la saisie gardée dans cet onglet est celle qui vient d'être payée.
depart.addEventListener("submit", () => {
  sessionStorage.setItem("depart", location.pathname.replace(/kiosque$/, "suivi"));
});
const [arrivee] = performance.getEntriesByType("navigation");
if (arrivee?.type === "navigate") depart.requestSubmit();
