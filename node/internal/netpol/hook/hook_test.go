package hook

import (
	"context"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A controller that dies with the question and is back for the next is asked again; what it then says is final.
func TestCallOutlivesARestart(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "socket")
	asked := make(chan Request, 10)
	go func() {
		for _, reply := range []*Answer{nil, {}, nil, {Error: "no such pod range"}} {
			l, err := net.Listen("unix", socket)
			if err != nil {
				t.Error(err)
				return
			}
			conn, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			var r Request
			if err := json.NewDecoder(conn).Decode(&r); err != nil {
				t.Error(err)
			}
			asked <- r
			if reply != nil {
				if err := json.NewEncoder(conn).Encode(reply); err != nil {
					t.Error(err)
				}
			}
			_, _ = conn.Close(), l.Close() // as a dying process would
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := Call(ctx, socket, Request{Op: Add, Name: "web"}); err != nil {
		t.Fatal(err)
	}
	if err := Call(ctx, socket, Request{Op: Add, Name: "web"}); err == nil || !strings.Contains(err.Error(), "no such pod range") {
		t.Fatalf("got %v", err)
	}
	if len(asked) != 4 {
		t.Errorf("asked %d times, want 4", len(asked))
	}
}
