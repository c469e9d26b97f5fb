// Étape 2 : les totaux des lignes cochées, et le partage du montant, à mesure que l'on coche et que l'on tape.
"use strict";

const formulaire = document.querySelector("#selection").form;
const cases = [...formulaire.querySelectorAll('input[name="references"]')];
const montant = document.querySelector("#montant");
const partage = document.querySelector("#partage");
const lu = document.querySelector("#partage-lu");
const minimum = Number(montant.dataset.minimum);
const maximum = Number(montant.dataset.maximum);
const INSECABLE = "\u00a0";

function euros(centimes) {
  const unites = String(Math.trunc(centimes / 100)).replace(/\B(?=(\d{3})+$)/g, INSECABLE);
  return `${unites},${String(centimes % 100).padStart(2, "0")}${INSECABLE}€`;
}

// Les mêmes écritures que le serveur : 20 ; 20,5 ; 20.50 € ; 16€50. Null si ce n'est pas un montant, ou s'il fait doute.
function centimes(texte) {
  const serre = texte.trim();
  const trouve =
    /^€?\s*(\d{1,9}|\d{1,3}(?:\s\d{3}){1,2})(?:[.,](\d{1,2}))?\s*€?$/.exec(serre) ??
    /^(\d{1,9})\s*€\s*(\d{2})$/.exec(serre);
  return trouve && Number(trouve[1].replace(/\s/g, "")) * 100 + Number((trouve[2] ?? "0").padEnd(2, "0"));
}

function calculer() {
  const cochees = cases.filter((une) => une.checked).sort((une, autre) => une.dataset.rang - autre.dataset.rang);
  const restant = somme(cochees, "restant");
  const accord = cochees.length > 1 ? "références sélectionnées" : "référence sélectionnée";
  document.querySelector("#nombre").textContent = `${cochees.length}${INSECABLE}${accord}`;
  document.querySelector("#solde").textContent = euros(restant);
  const melees = new Set(cochees.map((une) => une.dataset.caisse)).size > 1;
  document.querySelector("#caisses").hidden = !melees || document.querySelector("#faute-selection") !== null;
  const voulu = centimes(montant.value);
  const permis = voulu !== null && voulu >= minimum && voulu <= maximum && voulu <= somme(cochees, "disponible");
  montrer(permis && !melees ? repartir(voulu, cochees) : []);
}

function somme(cochees, nom) {
  return cochees.reduce((total, une) => total + Number(une.dataset[nom]), 0);
}

// La plus ancienne d'abord, chacune jusqu'à ce qu'elle peut recevoir : la règle du serveur, qui la vérifiera.
function repartir(total, cochees) {
  let reste = total;
  return cochees.map((une) => {
    const part = Math.min(reste, Number(une.dataset.disponible));
    reste -= part;
    return { reference: une.value, part, apres: Number(une.dataset.restant) - part };
  });
}

function montrer(parts) {
  lu.value = parts
    .filter(({ part }) => part > 0)
    .map(({ reference, part }) => `${reference}:${part}`)
    .join(",");
  if (parts.length === 0) {
    partage.replaceChildren();
    return;
  }
  const rendu = document.querySelector("#gabarit-partage").content.cloneNode(true);
  for (const { reference, part, apres } of parts) {
    const ligne = document.querySelector("#gabarit-part").content.cloneNode(true);
    [reference, euros(part), euros(apres)].forEach((texte, rang) => {
      ligne.firstElementChild.children[rang].textContent = texte;
    });
    rendu.querySelector("tbody").append(ligne);
  }
  for (const { reference, apres } of parts.filter(({ apres }) => apres > 0 && apres < minimum)) {
    const attention = document.querySelector("#gabarit-attention").content.cloneNode(true);
    attention.querySelector("[data-reste]").textContent = euros(apres);
    attention.querySelector("[data-reference]").textContent = reference;
    rendu.append(attention);
  }
  partage.replaceChildren(rendu);
}

formulaire.addEventListener("input", calculer);
window.addEventListener("pageshow", calculer); // Aussi quand le navigateur rend une page telle qu'il l'a quittée.
calculer();
