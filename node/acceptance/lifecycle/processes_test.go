package lifecycle

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// process is one that this node started. Numbers are used again; number and moment of birth together are not.
type process struct {
	pid   int
	born  string
	words string
}

func (p process) String() string { return fmt.Sprintf("%d (%s)", p.pid, p.words) }

// processes are those with the data folder in their command line, the supervisor, its children, and what runs in the node's cgroup.
func (n *node) processes() []process {
	n.Helper()
	pids := map[int]bool{}
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(n, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && bytes.Contains(text, []byte(n.data)) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			must(n, err)
			pids[pid] = true
		}
	}
	for _, folder := range cgroups() {
		text, err := os.ReadFile(filepath.Join(folder, "cgroup.procs"))
		if err != nil {
			continue // It went meanwhile.
		}
		for _, field := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(field)
			must(n, err)
			pids[pid] = true
		}
	}
	if pid := n.supervisor(); pid != 0 {
		pids[pid] = true
		for _, child := range n.children() {
			pids[child.PID] = true
		}
	}
	var found []process
	for pid := range pids {
		if p, lives := identify(pid); lives {
			found = append(found, p)
		}
	}
	return slices.SortedFunc(slices.Values(found), func(a, b process) int { return a.pid - b.pid })
}

// identify a process by its number; one that has ended and waits for its parent lives no more.
func identify(pid int) (process, bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, false
	}
	words, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	_, after, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(after)
	if err != nil || len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return process{}, false
	}
	return process{pid, fields[19], string(bytes.ReplaceAll(words, []byte{0}, []byte(" ")))}, true
}

func (p process) lives() bool {
	now, lives := identify(p.pid)
	return lives && now.born == p.born
}

// supervisor's process id, 0 when there is none.
func (n *node) supervisor() int {
	n.Helper()
	text, err := os.ReadFile(filepath.Join(n.data, "run", "supervisor.pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(n, err)
	if p, lives := identify(pid); !lives || !strings.Contains(p.words, "berth-node supervise") {
		return 0
	}
	return pid
}

// supervisors are all that run for this data folder.
func (n *node) supervisors() []process {
	n.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	must(n, err)
	var found []process
	for _, file := range files {
		environment, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(environment, []byte("BERTH_DATA="+n.data+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		must(n, err)
		if p, lives := identify(pid); lives && strings.Contains(p.words, "berth-node supervise") {
			found = append(found, p)
		}
	}
	return found
}

// kill ends a process of this node as a crash or the kernel would.
func (n *node) kill(pid int) {
	n.Helper()
	if !slices.ContainsFunc(n.processes(), func(p process) bool { return p.pid == pid }) {
		n.Fatalf("process %d is not this node's", pid)
	}
	must(n, syscall.Kill(pid, syscall.SIGKILL))
}
