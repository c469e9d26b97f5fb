// Étape 3 : part au kiosque sans attendre. Revenir en arrière ou recharger ne repart pas : la personne décide.
"use strict";

const [arrivee] = performance.getEntriesByType("navigation");
if (arrivee?.type === "navigate") document.querySelector("[data-depart]").requestSubmit();
