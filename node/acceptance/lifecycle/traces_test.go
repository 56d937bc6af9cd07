package lifecycle

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// traces are what this node has on its machine outside its data folder's files, each in words. A node that was reset has none; asking is
// done at once, because reset is over when it says so.
func (n *node) traces() []string {
	n.Helper()
	var found []string
	for _, path := range mountsBelow(n.data) {
		found = append(found, "mount "+path)
	}
	devices, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	must(n, err)
	for _, device := range devices {
		if file, err := os.ReadFile(device); err == nil && strings.HasPrefix(string(file), n.data+"/") {
			found = append(found, "loop device of "+strings.TrimSpace(string(file)))
		}
	}
	for _, path := range []string{"/sys/class/net/bt-" + instance, "/run/netns/berth-" + instance, "/run/berth-" + instance} {
		if _, err := os.Stat(path); err == nil {
			found = append(found, path)
		}
	}
	for _, path := range cgroups() {
		found = append(found, "cgroup "+path)
	}
	for _, p := range n.processes() {
		found = append(found, "process "+p.String())
	}
	return found
}

// mountsBelow a folder, as this process sees them.
func mountsBelow(folder string) []string {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return []string{err.Error()}
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		if path := strings.Fields(line)[4]; strings.HasPrefix(path, folder+"/") {
			found = append(found, path)
		}
	}
	return found
}

// cgroups of the node, in every hierarchy, the inner ones too.
func cgroups() []string {
	var found []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && strings.Contains(path, "/berth-"+instance) {
			found = append(found, path)
		}
		return nil // a cgroup that went meanwhile
	})
	return found
}

// containers are the ids of what the runtime has, sandboxes included, and the names of their shims' sockets: together what files of theirs
// are called.
func (n *node) containers() []string {
	n.Helper()
	bundles, err := filepath.Glob(filepath.Join(n.data, "run", "containerd", "io.containerd.runtime.v2.task", "k8s.io", "*"))
	must(n, err)
	if len(bundles) == 0 {
		n.Fatal("the runtime has no containers")
	}
	var names []string
	for _, bundle := range bundles {
		text, err := os.ReadFile(filepath.Join(bundle, "bootstrap.json"))
		must(n, err)
		var shim struct{ Address string }
		must(n, json.Unmarshal(text, &shim))
		names = append(names, filepath.Base(bundle), filepath.Base(shim.Address))
	}
	return names
}

// strays are the files outside the data folder that these containers left: the runtime, runc, CNI and the kubelet have places of their own.
func strays(containers []string) []string {
	var found []string
	for _, folder := range []string{"/run", "/tmp", "/dev/shm", "/etc/cni", "/var/lib/cni", "/var/lib/containerd", "/var/lib/kubelet", "/var/log"} {
		_ = filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && isOf(containers, filepath.Base(path)) {
				found = append(found, path)
			}
			return nil // a folder that is not there has no strays
		})
	}
	return found
}

// isOf says whether a path is named after one of these containers.
func isOf(containers []string, path string) bool {
	return slices.ContainsFunc(containers, func(name string) bool { return strings.Contains(path, name) })
}

// leavesNothing says everything that a reset left: traces, strays, rules, and what the node made in its data folder.
func (n *node) leavesNothing(before rules, containers []string) {
	n.Helper()
	for _, trace := range n.traces() {
		n.Errorf("reset left %s", trace)
	}
	for _, path := range strays(containers) {
		n.Errorf("reset left the file %s", path)
	}
	for _, rule := range n.rules().beyond(before) {
		n.Errorf("reset left the rule %s", rule)
	}
	entries, err := os.ReadDir(n.data)
	must(n, err)
	for _, entry := range entries {
		if entry.Name() != foreign {
			n.Errorf("reset left %s in the data folder", entry.Name())
		}
	}
	if _, err := os.Stat(filepath.Join(n.data, foreign, "berth.db")); err != nil {
		n.Errorf("reset took what is not the node's: %v", err)
	}
}

// foreign is berthd's folder, which lies in the node's data folder.
const foreign = "berthd"

// addForeign puts berthd's rows there.
func (n *node) addForeign() {
	n.Helper()
	must(n, os.MkdirAll(filepath.Join(n.data, foreign), 0o700))
	must(n, os.WriteFile(filepath.Join(n.data, foreign, "berth.db"), []byte("rows"), 0o600))
}

// addresses are those that CNI holds for sandboxes.
func (n *node) addresses() []string {
	n.Helper()
	files, err := filepath.Glob(filepath.Join(n.data, "run", "cni-ipam", "*", "10.93.*"))
	must(n, err)
	return files
}

// awaitFreeAddresses waits until every address that CNI holds is a running container's: a sandbox that was swept without a word to CNI would
// hold its own for ever, and they are few.
func (n *node) awaitFreeAddresses() {
	n.Helper()
	n.await("the addresses of sandboxes that are gone to be free", soon, func() error {
		alive := n.containers()
		for _, file := range n.addresses() {
			owner, err := os.ReadFile(file)
			if err != nil {
				continue // freed meanwhile
			}
			id, _, _ := strings.Cut(string(owner), "\n")
			if !slices.Contains(alive, strings.TrimSpace(id)) {
				return fmt.Errorf("%s is held by %s", filepath.Base(file), id)
			}
		}
		return nil
	})
}
