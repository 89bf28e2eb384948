// Puts records into immudb's embedded store, every transaction synced, and prints how many a second: immudb DIR SECONDS
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/codenotary/immudb/embedded/store"
)

func main() {
	dir := os.Args[1]
	seconds, err := strconv.ParseFloat(os.Args[2], 64)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("immudb_one_a_transaction_records_per_s %.0f\n", rate(dir+"/one", seconds, 64, 1))
	fmt.Printf("immudb_1000_a_transaction_records_per_s %.0f\n", rate(dir+"/many", seconds, 8, 1000))
}

func rate(dir string, seconds float64, workers, records int) float64 {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		log.Fatal(err)
	}
	st, err := store.Open(dir, store.DefaultOptions().WithSynced(true).WithMaxConcurrency(workers))
	if err != nil {
		log.Fatal(err)
	}
	var next, stored atomic.Uint64
	begun := time.Now()
	end := begun.Add(time.Duration(seconds * float64(time.Second)))
	var all sync.WaitGroup
	for range workers {
		all.Add(1)
		go func() {
			defer all.Done()
			for time.Now().Before(end) {
				tx, err := st.NewTx(context.Background(), store.DefaultTxOptions())
				if err != nil {
					log.Fatal(err)
				}
				for range records {
					key := make([]byte, 8)
					value := make([]byte, 300)
					n := next.Add(1)
					binary.BigEndian.PutUint64(key, n)
					copy(value, fmt.Sprintf("user %d read account %d", n%997, n*7919%1000003))
					if err := tx.Set(key, nil, value); err != nil {
						log.Fatal(err)
					}
				}
				if _, err := tx.AsyncCommit(context.Background()); err != nil {
					log.Fatal(err)
				}
				stored.Add(uint64(records))
			}
		}()
	}
	all.Wait()
	elapsed := time.Since(begun).Seconds()
	if err := st.Close(); err != nil {
		log.Fatal(err)
	}
	return float64(stored.Load()) / elapsed
}
