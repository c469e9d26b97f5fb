// La page d'une preuve : vérifie celle qu'elle montre, et dit oui, non, ou que le navigateur ne sait pas.
import { NavigateurIncapable, verifier } from "./preuve-verificateur.mjs";

const verdict = document.querySelector("#verdict");

function cocher(pas) {
  document.querySelector(`[data-pas="${pas}"]`)?.classList.add("tenu");
}

async function juger() {
  const contenu = new TextEncoder().encode(document.querySelector("#preuve").textContent);
  const cles = verdict.dataset.cles.split(" ");
  try {
    return ["oui", `${await verifier(contenu, cles, cocher)} Vérifié par votre navigateur.`];
  } catch (cause) {
    return cause instanceof NavigateurIncapable
      ? ["", "Votre navigateur ne sait pas vérifier cette signature (Ed25519) : il ne dit ni oui ni non. La commande plus bas le fait sans lui."]
      : ["non", `Non : ${cause.message}.`];
  }
}

if (verdict !== null) {
  verdict.textContent = "Votre navigateur vérifie…";
  const [avis, phrase] = await juger();
  verdict.dataset.verdict = avis;
  verdict.textContent = phrase;
}
