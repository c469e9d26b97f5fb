// Lit un document AsyncAPI avec l'analyseur officiel, et dit ce qu'il en pense : node analyser.mjs DOSSIER_DES_PAQUETS FICHIER
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [paquets, fichier] = process.argv.slice(2);
const { Parser } = createRequire(`${paquets}/`)('@asyncapi/parser');
const { document, diagnostics } = await new Parser().parse(readFileSync(fichier, 'utf8'), {
  source: pathToFileURL(fichier).pathname,
});
console.log(
  JSON.stringify({
    fautes: diagnostics.filter((une) => une.severity <= 1).map((une) => `${une.path.join('/')} : ${une.message}`),
    canaux: document ? document.channels().all().map((un) => un.address()) : null,
    messages: document ? document.allMessages().all().map((un) => un.name()).filter(Boolean) : null,
    serveurs: document ? document.allServers().all().map((un) => un.id()) : null,
  }),
);
