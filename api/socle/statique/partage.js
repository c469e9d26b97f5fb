// Étape 2 : les totaux des lignes cochées, et le partage du montant, à mesure que l'on coche et que l'on tape.
"use strict";

const formulaire = document.querySelector("#selection").form;
const cases = [...formulaire.querySelectorAll('input[name="references"]')];
const montant = document.querySelector("#montant");
const partage = document.querySelector("#partage");
const touches = document.querySelector("#touches");
const lu = document.querySelector("#partage-lu");
const minimum = Number(montant.dataset.minimum);
const maximum = Number(montant.dataset.maximum);
const referencesMax = Number(montant.dataset.referencesMax);
// Ce qui peut être payé sur les lignes des autres pages du tableau, par caisse.
const horsPage = Object.fromEntries((formulaire.dataset.horsPage ?? "").split(" ").map((une) => une.split(":")));
// Les caisses où un paiement est en vérification : la page n'invite à rien y payer.
const enVerification = new Set((formulaire.dataset.enVerification ?? "").split(" "));
const INSECABLE = "\u00a0";

function euros(centimes) {
  const unites = String(Math.trunc(centimes / 100)).replace(/\B(?=(\d{3})+$)/g, INSECABLE);
  return `${unites},${String(centimes % 100).padStart(2, "0")}${INSECABLE}€`;
}

// Les mêmes écritures que le serveur : 20 ; 20,5 ; 20.50 € ; 20 euros ; 16€50. Null si ce n'est pas un montant, ou s'il fait doute.
function centimes(texte) {
  const serre = texte.replace(/^[\s\u200b-\u200f\u2060\ufeff]+|[\s\u200b-\u200f\u2060\ufeff]+$/g, "");
  const trouve =
    /^€?\s*(\d{1,9}|\d{1,3}(?:\s\d{3}){1,2})(?:[.,](\d{1,2}))?\s*(?:€|euros?|eur)?$/i.exec(serre) ??
    /^(\d{1,9})\s*€\s*(\d{2})$/.exec(serre);
  return trouve && Number(trouve[1].replace(/\s/g, "")) * 100 + Number((trouve[2] ?? "0").padEnd(2, "0"));
}

function calculer() {
  const cochees = cases.filter((une) => une.checked).sort((une, autre) => une.dataset.rang - autre.dataset.rang);
  const restant = somme(cochees, "restant");
  const accord = cochees.length > 1 ? "références sélectionnées" : "référence sélectionnée";
  document.querySelector("#nombre").textContent = `${cochees.length}${INSECABLE}${accord}`;
  document.querySelector("#solde").textContent = euros(restant);
  document.querySelector("#solde-barre")?.replaceChildren(euros(restant));
  const melees = new Set(cochees.map((une) => une.dataset.caisse)).size > 1;
  document.querySelector("#caisses").hidden = !melees || document.querySelector("#faute-selection") !== null;
  const voulu = centimes(montant.value);
  const tropPeu = !melees && restant > 0 && restant < minimum;
  document.querySelector("#trop-peu").hidden = !tropPeu;
  const retenue = cochees.some((une) => enVerification.has(une.dataset.caisse));
  proposer(melees || retenue ? [] : propositions(cochees), tropPeu);
  if (cochees.length > 0) inviter(!retenue, tropPeu);
  const permis = voulu !== null && voulu >= minimum && voulu <= maximum && voulu <= somme(cochees, "disponible");
  const vousPayez = document.querySelector("#vous-payez");
  if (vousPayez) {
    vousPayez.hidden = !permis || melees;
    vousPayez.querySelector("strong").textContent = permis ? euros(voulu) : "";
  }
  montrer(permis && !melees ? repartir(voulu, cochees) : [], permis && !melees ? blocage(voulu, cochees) : null);
}

// Sous le minimum, « Payer » ne peut pas réussir : le premier bouton est la touche qui coche les autres.
function inviter(invite, tropPeu) {
  const payer = document.querySelector("#payer");
  payer.classList.toggle("second", !invite || tropPeu);
  payer.textContent = invite ? "Payer" : "Payer quand même";
}

// Ce que ce montant laisserait d'impayable en ligne auprès de la caisse cochée, et le montant qui l'évite.
function blocage(total, cochees) {
  const caisse = cochees[0].dataset.caisse;
  const duesIci = somme(cases.filter((une) => une.dataset.caisse === caisse), "disponible");
  const duesALaCaisse = duesIci + Number(horsPage[caisse] ?? 0);
  const reste = duesALaCaisse - total;
  if (reste <= 0 || reste >= minimum) return null;
  const tout = duesALaCaisse <= maximum;
  return { reste, tout, remede: tout ? duesALaCaisse : duesALaCaisse - minimum };
}

function propositions(cochees) {
  const disponible = somme(cochees, "disponible");
  if (disponible < minimum) {
    const toutes = cochees.length > 0 ? ensemble(cochees[0].dataset.caisse) : [];
    if (somme(toutes, "disponible") < minimum) return [];
    return [["Cocher les autres et payer", propositions(toutes).at(-1)[1], toutes.map((une) => une.value)]];
  }
  const plafond = Math.min(disponible, maximum);
  const bloque = blocage(plafond, cochees);
  const proposees = [[plafond === disponible ? "Tout régler" : "Le maximum", plafond]];
  if (bloque && !bloque.tout) proposees.push(["Le plus, en gardant un reste payable", bloque.remede]);
  return proposees;
}

// Celles d'une caisse que l'on peut cocher ensemble : celles qui le sont déjà, puis les plus anciennes, jusqu'à ce qu'un
// paiement en règle.
function ensemble(caisse) {
  const siennes = cases.filter((une) => une.dataset.caisse === caisse && !une.disabled);
  const ordre = (une, autre) => autre.checked - une.checked || une.dataset.rang - autre.dataset.rang;
  return siennes.sort(ordre).slice(0, referencesMax);
}

// Les touches ne changent qu'avec les lignes cochées : celle qui a le focus le garde.
function proposer(proposees, tropPeu) {
  const cle = JSON.stringify(proposees);
  if (touches.dataset.cle === cle) return;
  touches.dataset.cle = cle;
  const boutons = proposees.map(([libelle, total, aCocher = []]) => {
    const bouton = document.querySelector("#gabarit-touche").content.cloneNode(true).firstElementChild;
    bouton.textContent = `${libelle}${INSECABLE}: ${euros(total)}`;
    bouton.classList.toggle("second", !tropPeu);
    bouton.addEventListener("click", () => {
      const tenait = document.activeElement === bouton;
      for (const une of cases) une.checked ||= aCocher.includes(une.value);
      montant.value = euros(total).replace(`${INSECABLE}€`, "");
      montant.dispatchEvent(new Event("input", { bubbles: true }));
      if (tenait && !bouton.isConnected) montant.focus(); // La touche a changé : le focus va à ce qu'elle a écrit.
    });
    return bouton;
  });
  touches.replaceChildren(...boutons);
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

function montrer(parts, bloque) {
  lu.value = parts
    .filter(({ part }) => part > 0)
    .map(({ reference, part }) => `${reference}:${part}`)
    .join(",");
  if (parts.length === 0) {
    partage.replaceChildren();
    return;
  }
  const rendu = document.querySelector("#gabarit-partage").content.cloneNode(true);
  for (const { reference, part, apres } of parts.filter((une) => une.part > 0)) {
    const ligne = document.querySelector("#gabarit-part").content.cloneNode(true);
    [reference, euros(part), euros(apres)].forEach((texte, rang) => {
      ligne.firstElementChild.children[rang].textContent = texte;
    });
    rendu.querySelector("tbody").append(ligne);
  }
  const oubliees = parts.filter((une) => une.part === 0).length;
  const phrase = oubliees > 1 ? "autres références ne reçoivent rien." : "autre référence ne reçoit rien.";
  rendu.querySelector("[data-oubliees]").textContent = oubliees ? `${oubliees}${INSECABLE}${phrase}` : "";
  if (bloque) {
    const attention = document.querySelector("#gabarit-attention").content.cloneNode(true);
    attention.querySelector("[data-reste]").textContent = euros(bloque.reste);
    attention.querySelector(bloque.tout ? "[data-au-plus]" : "[data-tout]").remove();
    attention.querySelector("[data-remede]").textContent = euros(bloque.remede);
    rendu.append(attention);
  }
  partage.replaceChildren(rendu);
}

// Dit une fois, quand la personne s'arrête : ce qui est coché, et ce qui bloquerait.
let parole = 0;
function annoncer() {
  clearTimeout(parole);
  parole = setTimeout(() => {
    const attention = partage.querySelector(".attention")?.textContent.trim() ?? "";
    const nombre = document.querySelector("#nombre").textContent;
    const solde = document.querySelector("#solde").textContent;
    document.querySelector("#annonce").textContent = `${nombre}, solde total ${solde}. ${attention}`.trim();
  }, 600);
}

// Ce qui est coché et saisi attend la personne : après un retour, un rechargement, une session finie. Pas à la borne.
const garde = !document.documentElement.classList.contains("canal-bms");
const clef = `saisie:${formulaire.elements.reference.value}`;

function garder() {
  const cochees = cases.filter((une) => une.checked).map((une) => une.value);
  if (garde) sessionStorage.setItem(clef, JSON.stringify({ cochees, montant: montant.value }));
}

function retrouver() {
  const gardee = garde && !("rendue" in formulaire.dataset) && JSON.parse(sessionStorage.getItem(clef) ?? "null");
  if (!gardee) return;
  const ici = new Set(cases.map((une) => une.value));
  if ("horsPage" in formulaire.dataset && gardee.cochees.some((une) => !ici.has(une))) {
    // Cochées sur une autre page du tableau : le serveur les remontre avec celles-ci.
    const { value: reference } = formulaire.elements.reference;
    location.replace(`/payer?${new URLSearchParams({ reference, cochees: gardee.cochees, montant: gardee.montant })}`);
    return;
  }
  const permise = (une) => !une.disabled && !enVerification.has(une.dataset.caisse);
  for (const une of cases) une.checked = permise(une) && gardee.cochees.includes(une.value);
  montant.value = gardee.montant;
}

formulaire.addEventListener("input", () => {
  calculer();
  annoncer();
  garder();
});
window.addEventListener("pageshow", calculer); // Aussi quand le navigateur rend une page telle qu'il l'a quittée.
retrouver();
calculer();
