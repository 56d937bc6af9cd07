package lifecycle

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// dataPrefix begins the data folder of every node of this test; the run's process id and the node's number end it.
const dataPrefix = "/var/lib/berth-lifecycle-"

// remove resets the node whatever state it is in, and takes the data folder away. The programs' logs outlive a failed test.
func (n *node) remove() {
	n.Helper()
	if n.Failed() {
		n.keepLogs()
	}
	if err := n.reset(n.data); err != nil {
		n.Errorf("the node could not be removed: %v", err)
	}
}

// reset works on any run's data folder, and without the test's own time.
func (n *node) reset(data string) error {
	ctx, cancel := context.WithTimeout(context.Background(), cleaning-10*time.Second)
	defer cancel()
	command := n.command(ctx, "reset", "--yes")
	command.Env = append(command.Env, "BERTH_DATA="+data)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("reset: %w: %s", err, output)
	}
	// Below a mount there may be data that is not the node's.
	if left := mountsBelow(data); len(left) > 0 {
		return fmt.Errorf("there are still mounts: %s", left)
	}
	return os.RemoveAll(data)
}

// removeOldOnes ends what a run that was killed left. Two runs at once would share the instance's name and addresses.
func (n *node) removeOldOnes() {
	n.Helper()
	old, err := filepath.Glob(dataPrefix + "*")
	must(n, err)
	for _, data := range old {
		pid, _, _ := strings.Cut(strings.TrimPrefix(data, dataPrefix), "-")
		name, err := os.ReadFile("/proc/" + pid + "/comm")
		if err == nil && strings.HasPrefix(string(name), "lifecycle") && pid != strconv.Itoa(os.Getpid()) {
			n.Fatalf("process %s runs this test already", pid)
		}
		n.Logf("removing %s of a run that was killed", data)
		must(n, n.reset(data))
	}
}

func (n *node) keepLogs() {
	kept, err := os.MkdirTemp("", "berth-lifecycle-log-")
	if err == nil {
		err = os.CopyFS(kept, os.DirFS(filepath.Join(n.data, "log")))
	}
	n.Logf("the programs' logs are kept in %s (%v)", kept, err)
}
