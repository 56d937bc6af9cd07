package lifecycle

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"time"

	"berth.dev/node/internal/components"
	"berth.dev/node/internal/config"
)

// survivesItsSupervisor kills the one process that nobody watches. The next up finds nothing in its way.
func (n *node) survivesItsSupervisor(old *pod) {
	life, processes, containers := old.life(), n.processes(), n.containers()
	n.kill(n.supervisor())
	began := time.Now()
	n.Logf("up after a kill of the supervisor: %.1f s", n.does("up").Seconds())
	n.worksAgain(began, old, life)
	n.tracesAreNew(processes, containers)
}

// stopsAndStarts keeps the data and nothing else. The certificates grow old meanwhile.
func (n *node) stopsAndStarts(old *pod) {
	life, processes, containers := old.life(), n.processes(), n.containers()
	n.does("down")
	for _, trace := range n.traces() {
		// The pods' cgroups are empty and cost nothing; only reset removes them.
		if !strings.HasPrefix(trace, "cgroup ") {
			n.Errorf("down left %s", trace)
		}
	}
	n.does("down")
	n.ageCertificates(25 * day)
	began := time.Now()
	n.Logf("warm up: %.1f s", n.does("up").Seconds())
	n.worksAgain(began, old, life)
	n.tracesAreNew(processes, containers)
	for name, left := range n.certificates() {
		if left < 300*day {
			n.Errorf("the certificate %s was not renewed: it has %s left", name, left)
		}
	}
}

// worksAgain: when up says that the node is ready, the kubelet and the node's own pods are, and not only their old reports. The old pod
// follows, in a new container and with its data.
func (n *node) worksAgain(began time.Time, old *pod, life string) {
	n.Helper()
	// Only a kubelet that runs can have told of these containers. Its lease may follow: it tries again at growing intervals.
	must(n, n.isReady())
	must(n, n.addOnsSince(began))
	n.await("the kubelet to renew its lease", soon, func() error { return n.renewedSince(began) })
	old.ready().stillHasIt()
	n.Logf("the old pod reads its data after %.1f s", time.Since(began).Seconds())
	if now := old.life(); now == life {
		n.Errorf("the old pod is still said to run in %s", now)
	}
	late := old.meets("late", began)
	n.Logf("%s", late)
	late.remove()
}

// tracesAreNew: nothing is left of these processes and containers.
func (n *node) tracesAreNew(processes []process, containers []string) {
	n.Helper()
	for _, p := range processes {
		if p.lives() {
			n.Errorf("process %s still runs", p)
		}
	}
	n.awaitFreeAddresses()
	for _, path := range append(mountsBelow(n.data), strays(containers)...) {
		// The kubelet keeps the log of a pod's last container.
		if isOf(containers, path) && !strings.HasPrefix(path, "/var/log/") {
			n.Errorf("%s is of a container that is gone", path)
		}
	}
}

const day = 24 * time.Hour

// ageCertificates replaces all but the authorities by ones that an up made so long ago that this much of their year is left.
func (n *node) ageCertificates(left time.Duration) {
	n.Helper()
	for name := range n.certificates() {
		must(n, os.Remove(filepath.Join(n.data, "pki", name)))
	}
	c, err := config.Load(func(name string) string {
		return map[string]string{"BERTH_DATA": n.data, "BERTH_NODE_BIN": n.programs}[name]
	})
	must(n, err)
	must(n, components.Prepare(c, time.Now().Add(left-365*day)))
	for name, has := range n.certificates() {
		if has > left {
			n.Fatalf("the certificate %s has %s left", name, has)
		}
	}
}

// certificates of the node, without those of its authorities, and how much of their time is left.
func (n *node) certificates() map[string]time.Duration {
	n.Helper()
	files, err := filepath.Glob(filepath.Join(n.data, "pki", "*.crt"))
	must(n, err)
	found := map[string]time.Duration{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(n, err)
		block, _ := pem.Decode(text)
		certificate, err := x509.ParseCertificate(block.Bytes)
		must(n, err)
		if !certificate.IsCA {
			found[filepath.Base(file)] = time.Until(certificate.NotAfter)
		}
	}
	if len(found) == 0 {
		n.Fatal("the node has no certificates")
	}
	return found
}
