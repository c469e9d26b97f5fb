// Juge une preuve de solde avec les bibliothèques de ceux qui ont écrit le format : golang.org/x/mod/sumdb/tlog pour
// l'arbre, sumdb/note et transparency-dev/formats pour le point signé. Rien de notre code n'y est.
//
// `juge CLÉ [TÉMOIN…] < preuve.json` : sort avec 0 et dit « oui » si chaque fait est dans l'arbre que le journal a signé,
// et que chaque témoin nommé a vu.
package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type fait struct {
	Chemin  []string `json:"chemin"`
	Feuille int64    `json:"feuille"`
	Ligne   string   `json:"ligne"`
	Sel     string   `json:"sel"`
}

type preuve struct {
	Faits []fait `json:"faits"`
	Point string `json:"point"`
}

func main() {
	if err := juger(os.Args[1:], os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "non :", err)
		os.Exit(1)
	}
	fmt.Println("oui")
}

func juger(cles []string, entree io.Reader) error {
	if len(cles) == 0 {
		return errors.New("il manque la clé du journal")
	}
	var lue preuve
	if err := json.NewDecoder(entree).Decode(&lue); err != nil {
		return err
	}
	if len(lue.Faits) == 0 {
		return errors.New("aucun fait")
	}
	var verificateurs []note.Verifier
	for _, cle := range cles {
		un, err := fnote.NewVerifier(cle)
		if err != nil {
			return err
		}
		verificateurs = append(verificateurs, un)
	}
	journal, temoins := verificateurs[0], verificateurs[1:]
	point, _, vues, err := log.ParseCheckpoint([]byte(lue.Point), journal.Name(), journal, temoins...)
	if err != nil {
		return err
	}
	if len(vues.Sigs) != len(cles) {
		return errors.New("un témoin nommé n'a pas signé")
	}
	if point.Size > 1<<62 || len(point.Hash) != tlog.HashSize {
		return errors.New("un point hors de toute mesure")
	}
	for rang, un := range lue.Faits {
		if err := dansLArbre(un, int64(point.Size), tlog.Hash(point.Hash)); err != nil {
			return fmt.Errorf("fait %d : %w", rang+1, err)
		}
	}
	return nil
}

func dansLArbre(un fait, taille int64, racine tlog.Hash) error {
	ligne, err := base64.StdEncoding.DecodeString(un.Ligne)
	if err != nil {
		return err
	}
	sel, err := base64.StdEncoding.DecodeString(un.Sel)
	if err != nil {
		return err
	}
	table, ecritPar, err := lire(ligne)
	if err != nil {
		return err
	}
	var chemin tlog.RecordProof
	for _, texte := range un.Chemin {
		octets, err := base64.StdEncoding.DecodeString(texte)
		if err != nil || len(octets) != tlog.HashSize {
			return errors.New("un chemin mal écrit")
		}
		chemin = append(chemin, tlog.Hash(octets))
	}
	scelle := sha256.Sum256(append(sel, ligne...))
	donnees := fmt.Sprintf("%s\n%s\n%s\n", table, ecritPar, base64.StdEncoding.EncodeToString(scelle[:]))
	return tlog.CheckRecord(chemin, taille, racine, un.Feuille, tlog.RecordHash([]byte(donnees)))
}

// La table, et la transaction qui a écrit la ligne : chaque morceau est précédé de sa longueur, chaque valeur de son genre.
func lire(ligne []byte) (table string, ecritPar string, err error) {
	var morceaux [][]byte
	for len(ligne) > 0 {
		if len(ligne) < 4 || uint64(binary.BigEndian.Uint32(ligne)) > uint64(len(ligne)-4) {
			return "", "", errors.New("une ligne coupée")
		}
		fin := 4 + int(binary.BigEndian.Uint32(ligne))
		morceaux, ligne = append(morceaux, ligne[4:fin]), ligne[fin:]
	}
	if len(morceaux)%2 != 1 {
		return "", "", errors.New("une ligne mal formée")
	}
	ecritPar = "0"
	for n := 1; n < len(morceaux); n += 2 {
		if string(morceaux[n]) == "ecrit_par" && len(morceaux[n+1]) > 1 {
			ecritPar = string(morceaux[n+1][1:])
		}
	}
	return string(morceaux[0]), ecritPar, nil
}
