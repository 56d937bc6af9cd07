package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Places that libraries of the runtime and the kubelet have for the whole machine, whatever their own configuration says.
const (
	cniResults    = "/var/lib/cni/results"
	containerLogs = "/var/log/containers"
)

// ForgetNetwork removes what CNI remembers of a network's sandboxes. They are gone, and new ones have other names.
func ForgetNetwork(name string) error {
	files, err := filepath.Glob(filepath.Join(cniResults, name+"-*"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := os.RemoveAll(file); err != nil {
			return fmt.Errorf("removing what CNI remembers: %w", err)
		}
	}
	return nil
}

// RemoveLogLinks removes the kubelet's links to logs below this folder.
func RemoveLogLinks(folder string) error {
	links, err := filepath.Glob(filepath.Join(containerLogs, "*.log"))
	if err != nil {
		return err
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(target, folder+"/") {
			continue // It went meanwhile, or is another's.
		}
		if err := os.RemoveAll(link); err != nil {
			return fmt.Errorf("removing a link to a log: %w", err)
		}
	}
	return nil
}
