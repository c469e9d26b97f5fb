// Étape 2 : les totaux des lignes cochées, et le partage du montant, à mesure que l'on coche et que l'on tape.
"use strict";

const formulaire = document.querySelector("#selection").form;
const cases = [...formulaire.querySelectorAll('input[name="references"]')];
const montant = document.querySelector("#montant");
const partage = document.querySelector("#partage");
const lu = document.querySelector("#partage-lu");
const minimum = Number(montant.dataset.minimum);
const maximum = Number(montant.dataset.maximum);
const INSÉCABLE = "\u00a0";

function euros(centimes) {
  const unités = String(Math.trunc(centimes / 100)).replace(/\B(?=(\d{3})+$)/g, INSÉCABLE);
  return `${unités},${String(centimes % 100).padStart(2, "0")}${INSÉCABLE}€`;
}

// Les mêmes écritures que le serveur : 20 ; 20,5 ; 20.50 €. Null si ce n'est pas un montant.
function centimes(texte) {
  const trouvé = /^(\d{1,9})(?:[.,](\d{1,2}))?$/.exec(texte.replace(/[\s€]+/g, ""));
  return trouvé && Number(trouvé[1]) * 100 + Number((trouvé[2] ?? "0").padEnd(2, "0"));
}

function calculer() {
  const cochées = cases.filter((une) => une.checked).sort((une, autre) => une.dataset.rang - autre.dataset.rang);
  const restant = somme(cochées, "restant");
  const accord = cochées.length > 1 ? "références sélectionnées" : "référence sélectionnée";
  document.querySelector("#nombre").textContent = `${cochées.length}${INSÉCABLE}${accord}`;
  document.querySelector("#solde").textContent = euros(restant);
  const mêlées = new Set(cochées.map((une) => une.dataset.caisse)).size > 1;
  document.querySelector("#caisses").hidden = !mêlées || document.querySelector("#faute-selection") !== null;
  const voulu = centimes(montant.value);
  const permis = voulu !== null && voulu >= minimum && voulu <= maximum && voulu <= somme(cochées, "disponible");
  montrer(permis && !mêlées ? répartir(voulu, cochées) : []);
}

function somme(cochées, nom) {
  return cochées.reduce((total, une) => total + Number(une.dataset[nom]), 0);
}

// La plus ancienne d'abord, chacune jusqu'à ce qu'elle peut recevoir : la règle du serveur, qui la vérifiera.
function répartir(total, cochées) {
  let reste = total;
  return cochées.map((une) => {
    const part = Math.min(reste, Number(une.dataset.disponible));
    reste -= part;
    return { référence: une.value, part, après: Number(une.dataset.restant) - part };
  });
}

function montrer(parts) {
  lu.value = parts
    .filter(({ part }) => part > 0)
    .map(({ référence, part }) => `${référence}:${part}`)
    .join(",");
  if (parts.length === 0) {
    partage.replaceChildren();
    return;
  }
  const rendu = document.querySelector("#gabarit-partage").content.cloneNode(true);
  for (const { référence, part, après } of parts) {
    const ligne = document.querySelector("#gabarit-part").content.cloneNode(true);
    [référence, euros(part), euros(après)].forEach((texte, rang) => {
      ligne.firstElementChild.children[rang].textContent = texte;
    });
    rendu.querySelector("tbody").append(ligne);
  }
  for (const { référence, après } of parts.filter(({ après }) => après > 0 && après < minimum)) {
    const attention = document.querySelector("#gabarit-attention").content.cloneNode(true);
    attention.querySelector("[data-reste]").textContent = euros(après);
    attention.querySelector("[data-reference]").textContent = référence;
    rendu.append(attention);
  }
  partage.replaceChildren(rendu);
}

formulaire.addEventListener("input", calculer);
window.addEventListener("pageshow", calculer); // Aussi quand le navigateur rend une page telle qu'il l'a quittée.
calculer();
