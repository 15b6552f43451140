// Reads a log's folder with golang.org/x/mod/sumdb (note, tlog): nothing of this project's.
//
//	read_log FOLDER VKEYS < proofs.json
//
// It checks the checkpoint's signatures, every hash and every entry against the signed root, then
// the proofs on standard input, then proofs of its own. It prints what it checked as JSON and ends
// with 0, or says what is wrong and ends with 1.
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height, width = 8, 256

type inclusion struct {
	Leaf, Size int64
	Entry      []byte
	Hashes     tlog.RecordProof
}

type consistency struct {
	Old, New int64
	OldRoot  tlog.Hash
	Hashes   tlog.TreeProof
}

type given struct {
	Inclusion   []inclusion
	Consistency []consistency
}

type folder string

func (f folder) Height() int { return height }

func (f folder) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(string(f), path))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func (f folder) SaveTiles(tiles []tlog.Tile, data [][]byte) {}

func (f folder) entries(size int64) [][]byte {
	var all [][]byte
	for n := int64(0); n*width < size; n++ {
		tile := tlog.Tile{H: height, L: 0, N: n, W: width}
		if size-n*width < width {
			tile.W = int(size - n*width)
		}
		path := strings.Replace(tile.Path(), "tile/8/0/", "tile/entries/", 1)
		data, err := os.ReadFile(filepath.Join(string(f), path))
		check(err)
		for len(data) > 0 {
			length := int(binary.BigEndian.Uint16(data))
			all = append(all, data[2:2+length])
			data = data[2+length:]
		}
	}
	return all
}

func (f folder) checkpoint(vkeys string) (tree tlog.Tree, signatures int) {
	lines, err := os.ReadFile(vkeys)
	check(err)
	var known []note.Verifier
	for _, line := range strings.Fields(string(lines)) {
		verifier, err := note.NewVerifier(line)
		check(err)
		known = append(known, verifier)
	}
	data, err := os.ReadFile(filepath.Join(string(f), "checkpoint"))
	check(err)
	opened, err := note.Open(data, note.VerifierList(known...))
	check(err)
	told := strings.Split(opened.Text, "\n")
	tree.N, err = strconv.ParseInt(told[1], 10, 64)
	check(err)
	tree.Hash, err = tlog.ParseHash(told[2])
	check(err)
	return tree, len(opened.Sigs)
}

func main() {
	log := folder(os.Args[1])
	tree, signatures := log.checkpoint(os.Args[2])
	reader := tlog.TileHashReader(tree, log)
	root, err := tlog.TreeHash(tree.N, reader)
	check(err)
	same(root, tree.Hash, "the root")
	entries := log.entries(tree.N)
	if int64(len(entries)) != tree.N {
		check(fmt.Errorf("%d entries, %d signed", len(entries), tree.N))
	}
	for n, entry := range entries {
		held, err := reader.ReadHashes([]int64{tlog.StoredHashIndex(0, int64(n))})
		check(err)
		same(held[0], tlog.RecordHash(entry), "leaf "+strconv.Itoa(n))
	}
	var proofs given
	check(json.NewDecoder(os.Stdin).Decode(&proofs))
	for _, one := range proofs.Inclusion {
		of, err := tlog.TreeHash(one.Size, reader)
		check(err)
		check(tlog.CheckRecord(one.Hashes, one.Size, of, one.Leaf, tlog.RecordHash(one.Entry)))
		own, err := tlog.ProveRecord(one.Size, one.Leaf, reader)
		check(err)
		if !bytes.Equal(flat(own), flat(one.Hashes)) {
			check(fmt.Errorf("leaf %d: another proof than ours", one.Leaf))
		}
	}
	for _, one := range proofs.Consistency {
		of, err := tlog.TreeHash(one.New, reader)
		check(err)
		check(tlog.CheckTree(one.Hashes, one.New, of, one.Old, one.OldRoot))
		own, err := tlog.ProveTree(one.New, one.Old, reader)
		check(err)
		if !bytes.Equal(flat(own), flat(one.Hashes)) {
			check(fmt.Errorf("sizes %d, %d: another proof than ours", one.Old, one.New))
		}
	}
	check(json.NewEncoder(os.Stdout).Encode(map[string]int{
		"size": int(tree.N), "signatures": signatures, "entries": len(entries),
		"inclusion": len(proofs.Inclusion), "consistency": len(proofs.Consistency),
	}))
}

func flat(hashes []tlog.Hash) (all []byte) {
	for _, one := range hashes {
		all = append(all, one[:]...)
	}
	return all
}

func same(found, wanted tlog.Hash, what string) {
	if found != wanted {
		check(fmt.Errorf("%s: found %v, expected %v", what, found, wanted))
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
