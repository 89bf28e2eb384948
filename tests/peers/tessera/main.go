// Adds records to a Tessera log on POSIX files and prints how many a second have an index: tessera DIR SECONDS
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

func main() {
	ctx := context.Background()
	seconds, err := strconv.ParseFloat(os.Args[2], 64)
	if err != nil {
		log.Fatal(err)
	}
	key, _, err := note.GenerateKey(rand.Reader, "bench.example/tessera")
	if err != nil {
		log.Fatal(err)
	}
	signer, err := note.NewSigner(key)
	if err != nil {
		log.Fatal(err)
	}
	driver, err := posix.New(ctx, posix.Config{Path: os.Args[1]})
	if err != nil {
		log.Fatal(err)
	}
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(signer).
		WithBatching(1000, 50*time.Millisecond).
		WithCheckpointInterval(time.Second)
	appender, shutdown, _, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		log.Fatal(err)
	}
	var next, added atomic.Uint64
	begun := time.Now()
	end := begun.Add(time.Duration(seconds * float64(time.Second)))
	var all sync.WaitGroup
	for range 4000 {
		all.Add(1)
		go func() {
			defer all.Done()
			for time.Now().Before(end) {
				n := next.Add(1)
				record := make([]byte, 300)
				copy(record, fmt.Sprintf("user %d read account %d %d", n%997, n*7919%1000003, n))
				if _, err := appender.Add(ctx, tessera.NewEntry(record))(); err == nil {
					added.Add(1)
				} else {
					// Pushed back.
					time.Sleep(5 * time.Millisecond)
				}
			}
		}()
	}
	all.Wait()
	elapsed := time.Since(begun).Seconds()
	fmt.Printf("tessera_records_per_s %.0f\n", float64(added.Load())/elapsed)
	if err := shutdown(ctx); err != nil {
		log.Fatal(err)
	}
}
