// Vérifie la preuve d'un solde, comme `preuve/verificateur.py` : la même suite de contrôles, avec ce que le navigateur
// sait calculer de lui-même (WebCrypto), et rien d'autre. Node l'exécute aussi : c'est ce fichier que les tests lisent.

// La seconde porte aussi l'heure qu'un tiers dit du point signé.
const FORMATS = ["creances-preuve-1", "creances-preuve-2"];
const NOTE = 1;
const COSIGNATURE = 4;
const EMPREINTE = 32;
const ETAGES = 200;

// Ce que chaque fait ajoute au solde, et en retire.
const MOUVEMENTS = new Map([
  ["AvisEmis", [["montant_initial", 1]]],
  ["AvisRectifie", [["montant_initial", 1], ["montant_precedent", -1]]],
  ["AvisAnnule", [["montant_precedent", -1]]],
  ["EncaissementRecu", [["montant", -1]]],
  ["TropPercuRembourse", [["montant", 1]]],
  ["PaiementAccepte", [["part", -1]]],
  ["PaiementContrepasse", [["part", 1]]],
  ["EncaissementRattache", [["part", -1]]],
  ["PaiementInitie", []],
  ["PaiementEchoue", []],
  ["PaiementAffiche", []],
  ["TropPercuConstate", []],
]);

export class PreuveFausse extends Error {}

// Le navigateur ne sait pas vérifier une signature Ed25519 : ce n'est ni un oui ni un non.
export class NavigateurIncapable extends Error {}

const octetsDe = (texte) => new TextEncoder().encode(texte);
const texteDe = (octets) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(octets);
const hexa = (octets) => Array.from(octets, (octet) => octet.toString(16).padStart(2, "0")).join("");
const deHexa = (texte) => Uint8Array.from(texte.match(/../g), (deux) => Number.parseInt(deux, 16));
const egaux = (un, autre) => un.length === autre.length && un.every((octet, rang) => octet === autre[rang]);

function exiger(vrai, phrase) {
  if (vrai !== true) throw new PreuveFausse(phrase);
}

function coller(...morceaux) {
  const tout = new Uint8Array(morceaux.reduce((somme, morceau) => somme + morceau.length, 0));
  let ici = 0;
  for (const morceau of morceaux) {
    tout.set(morceau, ici);
    ici += morceau.length;
  }
  return tout;
}

async function sha256(...morceaux) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", coller(...morceaux)));
}

function enBase64(octets) {
  let texte = "";
  for (const octet of octets) texte += String.fromCharCode(octet);
  return btoa(texte);
}

// Seule l'écriture canonique est lue : les derniers bits d'un base64 pourraient changer sans que rien ne change.
function deBase64(texte) {
  exiger(typeof texte === "string", "un champ en base64 n'est pas un texte");
  let octets;
  try {
    octets = Uint8Array.from(atob(texte), (lettre) => lettre.charCodeAt(0));
  } catch {
    throw new PreuveFausse("un champ en base64 n'est pas écrit comme il se doit");
  }
  exiger(enBase64(octets) === texte, "un champ en base64 n'est pas écrit comme il se doit");
  return octets;
}

function entier(valeur) {
  exiger(Number.isSafeInteger(valeur), "un nombre n'est pas entier, ou est mal écrit");
  return valeur;
}

function nombreEcrit(octets) {
  const texte = texteDe(octets);
  exiger(/^(0|[1-9][0-9]{0,18})$/.test(texte), "un nombre n'est pas entier, ou est mal écrit");
  return texte;
}

// Un JSON que tout langage lit de même : ni virgule ni démesure, et au plus tant de listes et d'objets.
function lireJson(texte, etages) {
  const nu = texte.replace(/"(?:[^"\\]|\\.)*"/gs, "");
  exiger(!/[0-9](?:[.eE]|[0-9]{15})|[NI]/.test(nu), "un nombre n'est pas entier");
  exiger((nu.match(/[[{]/g) ?? []).length <= etages, "un texte est démesuré");
  return JSON.parse(texte);
}

function euros(centimes) {
  const absolu = Math.abs(centimes);
  return `${centimes < 0 ? "-" : ""}${Math.floor(absolu / 100)},${String(absolu % 100).padStart(2, "0")} €`;
}

function ranger(valeur) {
  if (Array.isArray(valeur)) return valeur.map(ranger);
  if (valeur === null || typeof valeur !== "object") return valeur;
  return Object.fromEntries(Object.keys(valeur).sort().map((nom) => [nom, ranger(valeur[nom])]));
}

// La seule écriture d'une preuve : celle de `json.dumps(preuve, indent=1, sort_keys=True)`.
function ecrire(preuve) {
  const texte = JSON.stringify(ranger(preuve), null, 1);
  return `${texte.replace(/[\u007f-\uffff]/g, (lettre) => `\\u${lettre.charCodeAt(0).toString(16).padStart(4, "0")}`)}\n`;
}

async function cleEd25519(publique) {
  return crypto.subtle.importKey("raw", publique, { name: "Ed25519" }, false, ["verify"]);
}

async function signe(publique, signature, texte) {
  return (await crypto.subtle.verify({ name: "Ed25519" }, await cleEd25519(publique), signature, texte)) === true;
}

// Avant tout verdict : une signature connue (RFC 8032, 7.1, test 1) doit être acceptée, et la même abîmée refusée.
async function exigerEd25519() {
  const publique = deHexa("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  const bonne = deHexa(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  );
  let capable = false;
  try {
    const mauvaise = bonne.with(3, bonne[3] ^ 1);
    capable = (await signe(publique, bonne, new Uint8Array())) && !(await signe(publique, mauvaise, new Uint8Array()));
  } catch {
    // Ed25519 manque, ou la page n'est pas servie sous HTTPS.
  }
  if (!capable) throw new NavigateurIncapable("ce navigateur ne sait pas vérifier une signature Ed25519");
}

async function lireCle(vkey) {
  const [, nom, identifiant, reste] = /^([^+]+)\+([^+]+)\+(.+)$/.exec(vkey.trim()) ?? [];
  exiger(nom !== undefined, "une clé donnée n'est pas une clé Ed25519, ou ne porte pas son identifiant");
  const brut = deBase64(reste);
  const calcule = (await sha256(octetsDe(`${nom}\n`), brut)).slice(0, 4);
  const juste = brut.length === 33 && [NOTE, COSIGNATURE].includes(brut[0]) && hexa(calcule) === identifiant;
  exiger(juste, "une clé donnée n'est pas une clé Ed25519, ou ne porte pas son identifiant");
  return { nom, identifiant, genre: brut[0], publique: brut.slice(1) };
}

async function verifierPoint(point, vkeys) {
  const coupe = point.lastIndexOf("\n\n");
  exiger(coupe > 0, "le point n'est pas signé");
  const texte = point.slice(0, coupe);
  const signatures = point.slice(coupe + 2);
  const lignes = texte.split("\n");
  exiger(lignes.length === 3, "le point n'est pas celui d'un arbre");
  const [origine, tailleEcrite, racine] = lignes;
  const taille = entier(Number(nombreEcrit(octetsDe(tailleEcrite))));
  const cles = await Promise.all(vkeys.map(lireCle));
  exiger(signatures.endsWith("\n"), "le point n'est pas signé");
  const signataires = [];
  for (const ligne of signatures.slice(0, -1).split("\n")) {
    const morceaux = ligne.split(" ");
    exiger(morceaux.length === 3 && morceaux[0] === "\u2014", "une signature est mal écrite");
    const brut = deBase64(morceaux[2]);
    const identifiant = hexa(brut.slice(0, 4));
    const cle = cles.find((une) => une.nom === morceaux[1] && une.identifiant === identifiant);
    exiger(cle !== undefined, `signé par « ${morceaux[1]} », dont la clé n'est pas donnée`);
    let signature = brut.slice(4);
    let contenu = octetsDe(`${texte}\n`);
    if (cle.genre === COSIGNATURE) {
      exiger(signature.length === 8 + 64, `la signature de « ${cle.nom} » est fausse`);
      const instant = signature.slice(0, 8).reduce((somme, octet) => somme * 256n + BigInt(octet), 0n);
      contenu = coller(octetsDe(`cosignature/v1\ntime ${instant}\n`), contenu);
      signature = signature.slice(8);
    }
    exiger(
      signature.length === 64 && (await signe(cle.publique, signature, contenu)),
      `la signature de « ${cle.nom} » est fausse`,
    );
    signataires.push({ genre: cle.genre, nom: cle.nom });
  }
  const distincts = new Set(signataires.map(({ genre, nom }) => `${genre} ${nom}`));
  exiger(
    distincts.has(`${NOTE} ${origine}`) && distincts.size === signataires.length,
    "pas signé une fois par le journal",
  );
  const temoins = signataires.filter(({ genre }) => genre === COSIGNATURE).map(({ nom }) => nom);
  return { origine, taille, racine: deBase64(racine), temoins };
}

// La racine à laquelle mène ce chemin (RFC 9162, 2.1.3.2) ; pas d'opérateur de bits : ils sont de 32 bits.
async function racineDepuis(feuille, numero, taille, chemin) {
  exiger(numero >= 0 && numero < taille, "une feuille est hors de l'arbre");
  let [ici, dernier, empreinte, lus] = [numero, taille - 1, feuille, 0];
  while (dernier > 0) {
    const impair = ici % 2 === 1;
    if (impair || ici !== dernier) {
      exiger(lus < chemin.length && chemin[lus].length === EMPREINTE, "un chemin est trop court");
      const [gauche, droite] = impair ? [chemin[lus], empreinte] : [empreinte, chemin[lus]];
      empreinte = await sha256(Uint8Array.of(1), gauche, droite);
      lus += 1;
    }
    [ici, dernier] = [Math.floor(ici / 2), Math.floor(dernier / 2)];
  }
  exiger(lus === chemin.length, "un chemin est trop long");
  return empreinte;
}

function lireLigne(ligne) {
  const morceaux = [];
  let ici = 0;
  while (ici < ligne.length) {
    exiger(ici + 4 <= ligne.length, "une ligne scellée est coupée");
    const fin = ici + 4 + new DataView(ligne.buffer, ligne.byteOffset + ici, 4).getUint32(0);
    exiger(fin <= ligne.length, "une ligne scellée est coupée");
    morceaux.push(ligne.slice(ici + 4, fin));
    ici = fin;
  }
  const noms = morceaux.filter((_, rang) => rang % 2 === 1).map(texteDe);
  const croissants = noms.every((nom, rang) => rang === 0 || noms[rang - 1] < nom);
  const ascii = noms.every((nom) => /^\p{ASCII}*$/u.test(nom));
  exiger(morceaux.length % 2 === 1 && croissants && ascii, "une ligne scellée est mal formée");
  const colonnes = new Map(noms.map((nom, rang) => [nom, morceaux[2 * rang + 2].slice(1)]));
  return { table: texteDe(morceaux[0]), colonnes };
}

function colonne(colonnes, nom) {
  const valeur = colonnes.get(nom);
  exiger(valeur !== undefined, `une ligne scellée n'a pas de colonne ${nom}`);
  return valeur;
}

function compter(fait, etat, solde, enCours) {
  if (["PaiementInitie", "PaiementAccepte", "PaiementEchoue"].includes(fait)) {
    exiger(typeof etat.transaction === "string", "un paiement n'a pas de nom");
    enCours.set(etat.transaction, fait === "PaiementInitie" ? entier(etat.part) : 0);
  }
  const mouvement = MOUVEMENTS.get(fait).reduce((somme, [nom, sens]) => somme + sens * entier(etat[nom]), 0);
  const apres = entier(solde + mouvement);
  const signeDit = mouvement < 0 ? "-" : "+";
  return [apres, `${fait} : ${euros(solde)} ${signeDit} ${euros(Math.abs(mouvement))} = ${euros(apres)}`];
}

function conclure(creance, faits) {
  let solde = 0;
  const enCours = new Map();
  const calcul = [];
  faits.forEach(({ colonnes, etat }, rang) => {
    const numero = rang + 1;
    const flux = texteDe(colonne(colonnes, "flux"));
    exiger(flux === `creance-${creance}`, `le fait ${numero} n'est pas de cette créance`);
    exiger(nombreEcrit(colonne(colonnes, "version")) === String(numero), `il manque le fait ${numero}`);
    const fait = texteDe(colonne(colonnes, "topic")).replace(/^creance\./, "");
    exiger(MOUVEMENTS.has(fait), `le fait ${numero} est d'un genre que ce vérificateur ne connaît pas`);
    const [apres, phrase] = compter(fait, etat, solde, enCours);
    solde = apres;
    calcul.push(`${numero}. ${phrase}`);
  });
  const position = entier(Number(nombreEcrit(colonne(faits.at(-1).colonnes, "position"))));
  return {
    calcul,
    en_cours_centimes: entier([...enCours.values()].reduce((somme, part) => somme + part, 0)),
    phrase: `Complet jusqu'à la version ${faits.length}, à la position ${position} ; rien n'est dit de la suite.`,
    position,
    restant_du_centimes: Math.max(solde, 0),
    trop_percu_centimes: Math.max(-solde, 0),
    version: faits.length,
  };
}

async function verifierFait(fait, rang, taille, racine) {
  const formes = Object.keys(fait).sort().join(" ") === "chemin feuille ligne sel" && Array.isArray(fait.chemin);
  exiger(formes, `le fait ${rang} est mal formé`);
  const ligne = deBase64(fait.ligne);
  const sel = deBase64(fait.sel);
  const { table, colonnes } = lireLigne(ligne);
  exiger(table === "evenements" && sel.length === EMPREINTE, `l'événement ou le sel ${rang} n'en est pas un`);
  const ecritPar = colonnes.has("ecrit_par") ? nombreEcrit(colonnes.get("ecrit_par")) : "0";
  const scelle = enBase64(await sha256(sel, ligne));
  const feuille = await sha256(octetsDe(`\u0000evenements\n${ecritPar}\n${scelle}\n`));
  const mene = await racineDepuis(feuille, entier(fait.feuille), taille, fait.chemin.map(deBase64));
  exiger(egaux(mene, racine), `le fait ${rang} n'est pas dans l'arbre signé : il a été changé`);
  return { colonnes, etat: lireJson(texteDe(colonne(colonnes, "etat")), ETAGES) };
}

async function controler(contenu, vkeys, passer) {
  const preuve = lireJson(texteDe(contenu), contenu.length);
  exiger(egaux(octetsDe(ecrire(preuve)), contenu), "le fichier n'est pas écrit comme il se doit");
  const { format, creance, point, faits, jeton, ...dit } = preuve;
  const date = jeton !== undefined;
  exiger(format === FORMATS[date ? 1 : 0], "ce format de preuve n'est pas connu");
  const formes = typeof creance === "string" && typeof point === "string" && Array.isArray(faits);
  exiger(formes, "le fichier n'est pas une preuve");
  // Un signe qui ne se voit pas, dans un nom, ferait lire autre chose que ce qui est écrit.
  const noms = creance + point.replaceAll("\n", " ");
  exiger(!/(?! )[\p{C}\p{Z}]/u.test(noms), "un nom a un signe qui ne se voit pas");
  passer("fichier");
  const { origine, taille, racine, temoins } = await verifierPoint(point, vkeys);
  const vise = hexa(await sha256(octetsDe(`${point.slice(0, point.lastIndexOf("\n\n"))}\n`)));
  // L'empreinte qu'un jeton RFC 3161 porte ; sa signature se vérifie avec les racines de l'autorité, qui ne sont pas ici.
  exiger(!date || hexa(deBase64(jeton)).includes(`0420${vise}`), "le jeton n'est pas celui de ce point signé");
  passer("signature");
  const lus = [];
  for (const fait of faits) lus.push(await verifierFait(fait, lus.length + 1, taille, racine));
  exiger(lus.length > 0, "la preuve ne porte aucun fait");
  passer("arbre");
  const attendu = conclure(creance, lus);
  exiger(
    Object.keys(dit).sort().join(" ") === Object.keys(attendu).sort().join(" "),
    "la preuve ne dit pas ce qu'elle doit dire, et cela seul",
  );
  const autres = Object.keys(attendu).filter((nom) => ecrire(dit[nom]) !== ecrire(attendu[nom]));
  exiger(autres.length === 0, `« ${autres.join(", ")} » n'est pas ce que disent les faits`);
  passer("calcul");
  const vu = temoins.length > 0 ? `, vu par ${temoins.join(", ")}` : "";
  const du = euros(attendu.restant_du_centimes);
  const quand = date ? ` Son heure est à vérifier : openssl ts -verify -digest ${vise}.` : "";
  return `Oui : ${creance} doit ${du}. ${attendu.phrase} Journal ${origine}, ${taille} lignes${vu}.${quand}`;
}

// Ce que la preuve prouve, en une phrase ; lève PreuveFausse avec la première chose fausse, NavigateurIncapable si rien
// ne peut être dit ici. `contenu` : les octets du fichier ; `passer` est appelée après chaque étape tenue.
export async function verifier(contenu, vkeys, passer = () => {}) {
  await exigerEd25519();
  try {
    return await controler(contenu, vkeys, passer);
  } catch (cause) {
    if (cause instanceof PreuveFausse) throw cause;
    throw new PreuveFausse(`le fichier n'est pas une preuve (${cause?.name ?? "illisible"})`);
  }
}
