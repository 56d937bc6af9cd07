package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

// sweepWhenReachable removes volumes that belong to no claim: the process ended between making one and telling the cluster, and the claim was
// deleted before it was back.
func sweepWhenReachable(ctx context.Context, client kubernetes.Interface, volumes *volumes) error {
	var cluster string
	said := false
	err := wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		namespace, err := client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceSystem, metav1.GetOptions{})
		if err != nil {
			if !said {
				volumes.log.Info("waiting for the API server", "error", err)
				said = true
			}
			return false, nil
		}
		cluster = string(namespace.UID)
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the API server: %w", err)
	}
	same, err := volumes.belongTo(cluster)
	if err != nil {
		return err
	}
	if !same {
		volumes.log.Warn("the volumes were made for another cluster; those without a claim are kept", "folder", volumes.dir)
		return nil
	}
	wanted, err := wantedVolumes(ctx, client)
	if err != nil {
		return err
	}
	return volumes.sweep(wanted)
}

// belongTo records the cluster on first use. Volumes of another cluster (its database was lost, or the folder was moved) may be all that
// is left of someone's data.
func (v *volumes) belongTo(cluster string) (bool, error) {
	file := filepath.Join(v.dir, "cluster")
	recorded, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(file, []byte(cluster+"\n"), 0o600); err != nil {
			return false, fmt.Errorf("recording the cluster: %w", err)
		}
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the recorded cluster: %w", err)
	}
	return strings.TrimSpace(string(recorded)) == cluster, nil
}

// wantedVolumes names what persistent volumes exist and what the library would call the ones of existing claims.
func wantedVolumes(ctx context.Context, client kubernetes.Interface) (map[string]bool, error) {
	claims, err := client.CoreV1().PersistentVolumeClaims(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing claims: %w", err)
	}
	existing, err := client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing persistent volumes: %w", err)
	}
	wanted := make(map[string]bool, len(claims.Items)+len(existing.Items))
	for i := range claims.Items {
		wanted["pvc-"+string(claims.Items[i].UID)] = true
	}
	for i := range existing.Items {
		wanted[existing.Items[i].Name] = true
	}
	return wanted, nil
}

func (v *volumes) sweep(wanted map[string]bool) error {
	names, err := v.list()
	if err != nil {
		return err
	}
	for _, name := range names {
		if wanted[name] {
			continue
		}
		v.log.Info("removing a volume without a claim", "volume", name)
		if err := v.remove(name); err != nil {
			v.log.Error("a volume without a claim could not be removed", "volume", name, "error", err)
		}
	}
	return nil
}
