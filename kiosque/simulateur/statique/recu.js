// Le reçu s'ouvre pour être imprimé.
"use strict";
window.print();
