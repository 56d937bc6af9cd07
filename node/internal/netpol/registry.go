package netpol

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
)

// Sandbox is a pod's network as CNI told it. Gone ones stay for as long as the API server knows the pod, so that the address in its
// status does not bring the rules back.
type Sandbox struct {
	Container string
	Namespace string
	Name      string
	UID       string
	Addr      netip.Addr
	Gone      bool
}

// registry remembers sandboxes over a restart of the controller. A file that cannot be read is an error, not an empty registry.
type registry struct {
	path      string
	sandboxes []Sandbox
}

func loadRegistry(path string) (*registry, error) {
	r := &registry{path: path}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the sandboxes: %w", err)
	}
	if err := json.Unmarshal(data, &r.sandboxes); err != nil {
		return nil, fmt.Errorf("reading the sandboxes from %s: %w", path, err)
	}
	return r, nil
}

// add records a sandbox; whoever had its address, and an older sandbox of the same pod, have it no more.
func (r *registry) add(s Sandbox) error {
	r.sandboxes = slices.DeleteFunc(r.sandboxes, func(o Sandbox) bool {
		return o.Container == s.Container || o.Addr == s.Addr && !o.Gone || o.UID == s.UID && o.Namespace == s.Namespace && o.Name == s.Name
	})
	r.sandboxes = append(r.sandboxes, s)
	return r.save()
}

// remove marks a sandbox as gone. It says whether it was there: CNI deletes more often than it adds.
func (r *registry) remove(container string) (bool, error) {
	i := slices.IndexFunc(r.sandboxes, func(s Sandbox) bool { return s.Container == container && !s.Gone })
	if i < 0 {
		return false, nil
	}
	r.sandboxes[i].Gone = true
	return true, r.save()
}

// prune forgets the gone sandboxes whose pod nobody knows any more.
func (r *registry) prune(known func(Sandbox) bool) error {
	before := len(r.sandboxes)
	r.sandboxes = slices.DeleteFunc(r.sandboxes, func(s Sandbox) bool { return s.Gone && !known(s) })
	if len(r.sandboxes) == before {
		return nil
	}
	return r.save()
}

func (r *registry) has(container string) bool {
	return slices.ContainsFunc(r.sandboxes, func(s Sandbox) bool { return s.Container == container && !s.Gone })
}

func (r *registry) save() error {
	data, err := json.MarshalIndent(r.sandboxes, "", "  ")
	if err != nil {
		return fmt.Errorf("wording the sandboxes: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(r.path), ".sandboxes-")
	if err != nil {
		return fmt.Errorf("saving the sandboxes: %w", err)
	}
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), r.path)
	}
	if err != nil {
		return fmt.Errorf("saving the sandboxes: %w", errors.Join(err, os.Remove(tmp.Name())))
	}
	return nil
}
