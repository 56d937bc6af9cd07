package storage

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

// provisioner answers the library: a volume for a claim, and its end.
type provisioner struct {
	volumes  *volumes
	nodeName string
}

func (p *provisioner) Provision(_ context.Context, o controller.ProvisionOptions) (*corev1.PersistentVolume, controller.ProvisioningState, error) {
	if slices.Contains(o.PVC.Spec.AccessModes, corev1.ReadWriteMany) || slices.Contains(o.PVC.Spec.AccessModes, corev1.ReadOnlyMany) {
		return nil, controller.ProvisioningFinished, fmt.Errorf("access modes %v: only ReadWriteOnce and ReadWriteOncePod are possible", o.PVC.Spec.AccessModes)
	}
	requested := o.PVC.Spec.Resources.Requests[corev1.ResourceStorage]
	size, err := imageSize(requested)
	if err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	if err := p.volumes.create(o.PVName, size); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	mode := corev1.PersistentVolumeFilesystem
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: o.PVName},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes:                   o.PVC.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: requested},
			PersistentVolumeReclaimPolicy: *o.StorageClass.ReclaimPolicy,
			VolumeMode:                    &mode,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: p.volumes.data(o.PVName)}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{
					Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{p.nodeName},
				}},
			}}}},
		},
	}, controller.ProvisioningFinished, nil
}

func (p *provisioner) Delete(_ context.Context, volume *corev1.PersistentVolume) error {
	// Anyone who may write persistent volumes could name another path in one; only the name decides what is removed.
	if volume.Spec.Local == nil || volume.Spec.Local.Path != p.volumes.data(volume.Name) {
		return &controller.IgnoredError{Reason: "the volume is not at this provisioner's place for it"}
	}
	return p.volumes.remove(volume.Name)
}
