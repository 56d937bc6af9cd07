// Package storage gives the embedded node volumes with real size limits: each is an ext4 file system in a sparse image file of the
// requested size, loop-mounted, handed to the cluster as a local persistent volume.
//
// Layout below Options.Dir, which only root may enter:
//
//	images/<volume>.img     the disk; appears whole or not at all
//	mounts/<volume>/        where it is mounted
//	mounts/<volume>/data/   what pods get; lives inside the image, so that a volume that is not mounted is missing rather than writable
//	cluster                 identity of the cluster whose volumes these are
//
// Invariants:
//   - A volume that a claim is bound to survives everything but the deletion of its persistent volume.
//   - Paths are derived from checked names, never taken from objects in the cluster; nothing outside Dir is removed.
//   - Every operation may be repeated after having been cut off anywhere.
//
// Where the kernel has no loop devices volumes are plain folders without a limit, and the log says so.
package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// ProvisionerName is what storage classes name to get these volumes.
const ProvisionerName = "berth.dev/disk"

// workers is how many claims and how many deletions are served at once. Each waits mostly for the disk.
const workers = 8

// Options of the provisioner.
type Options struct {
	Kubeconfig string
	// Dir holds the volumes. It is made when missing.
	Dir string
	// NodeName is the node's kubernetes.io/hostname label.
	NodeName string
	// Log is slog.Default() when nil.
	Log *slog.Logger
}

// Run mounts the existing volumes, then makes and removes volumes as claims come and go, until the context ends, which is not an error.
func Run(ctx context.Context, o Options) error {
	log := o.Log
	if log == nil {
		log = slog.Default()
	}
	if o.NodeName == "" {
		return errors.New("the node's name is empty")
	}
	volumes, err := open(o.Dir, log)
	if err != nil {
		return err
	}
	if err := volumes.attachAll(); err != nil {
		// The other volumes are fine, and their pods should run.
		log.Error("not every volume could be mounted", "error", err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS, config.Burst = 200, 400
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making the client: %w", err)
	}
	if err := sweepWhenReachable(ctx, client, volumes); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	var running sync.WaitGroup
	provision := controller.NewProvisionController(
		klog.NewContext(ctx, logr.FromSlogHandler(log.Handler())), client, ProvisionerName, &provisioner{volumes: volumes, nodeName: o.NodeName},
		controller.LeaderElection(false),
		controller.Threadiness(workers),
		// The library's own limiter first waits 15 s after a failure.
		controller.RateLimiter(retries()),
		controller.FailedProvisionThreshold(0),
		controller.FailedDeleteThreshold(0),
		controller.CreateProvisionedPVLimiter(retries()),
		// Without its finalizer a persistent volume deleted by hand would leave its image behind.
		controller.AddFinalizer(true),
	)
	provision.ControllerWaitGroup(&running)
	provision.Run(ctx)
	running.Wait()
	return nil
}

func retries() workqueue.TypedRateLimiter[string] {
	return workqueue.NewTypedMaxOfRateLimiter(
		workqueue.NewTypedItemExponentialFailureRateLimiter[string](50*time.Millisecond, 15*time.Second),
		&workqueue.TypedBucketRateLimiter[string]{Limiter: rate.NewLimiter(rate.Limit(100), 200)},
	)
}

// Attach mounts every existing volume. Called before the kubelet starts, it spares pods a failed first try; Run does the same.
func Attach(dir string, log *slog.Logger) error {
	volumes, err := open(dir, log)
	if err != nil {
		return err
	}
	return volumes.attachAll()
}
