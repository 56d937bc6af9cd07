package supervise

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func await(t *testing.T, what string, check func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !check() {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting for %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestAKilledProgramComesBackAndAllEndTogether(t *testing.T) {
	folder := t.TempDir()
	s := &Supervisor{Logs: filepath.Join(folder, "log"), Status: filepath.Join(folder, "status.json")}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, []Program{{Name: "sleeper", Args: []string{"sleep", "1000"}}}) }()
	pid := func() int {
		states, err := Read(s.Status)
		if err != nil {
			return 0
		}
		return states["sleeper"].PID
	}
	await(t, "the first start", func() bool { return pid() != 0 })
	first := pid()
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "the second start", func() bool { return pid() != 0 && pid() != first })
	second := pid()
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if syscall.Kill(second, 0) == nil {
		t.Error("the program outlived its supervisor")
	}
}

// The one that ends asks, in its last moment, whether the last one is still there.
func TestTheLastProgramOutlivesTheOthers(t *testing.T) {
	folder := t.TempDir()
	s := &Supervisor{Logs: filepath.Join(folder, "log"), Status: filepath.Join(folder, "status.json")}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	server := `echo $$ > server; exec sleep 1000`
	client := `trap 'kill -0 $(cat server) && touch goodbye; exit' TERM; touch trapped; while :; do sleep 0.05; done`
	go func() {
		done <- s.Run(ctx, []Program{
			{Name: "server", Args: []string{"sh", "-c", "cd " + folder + "; " + server}, Last: true},
			{Name: "client", Args: []string{"bash", "-c", "cd " + folder + "; " + client}},
		})
	}()
	await(t, "both to start", func() bool {
		_, one := os.Stat(filepath.Join(folder, "server"))
		_, other := os.Stat(filepath.Join(folder, "trapped"))
		return one == nil && other == nil
	})
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "goodbye")); err != nil {
		t.Error("the last program was gone before the other")
	}
}

func TestThePauseGrowsAndForgets(t *testing.T) {
	if got := nextPause(time.Second, time.Second); got != 2*time.Second {
		t.Error(got)
	}
	if got := nextPause(lastPause, time.Second); got != lastPause {
		t.Error(got)
	}
	if got := nextPause(lastPause, time.Minute); got != firstPause {
		t.Error(got)
	}
}

func TestALogTurnsOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.log")
	log, err := OpenLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	log.limit = 10
	for _, text := range []string{"12345678", "abcdefgh"} {
		if _, err := log.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	old, _ := os.ReadFile(path + ".1")
	now, _ := os.ReadFile(path)
	if string(old) != "12345678" || string(now) != "abcdefgh" {
		t.Errorf("%q %q", old, now)
	}
}
