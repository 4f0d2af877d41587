"""Image files as other programs write them."""

import nibabel as nib


def write(path, data, affine, *, sform=1, qform=1, cls=nib.Nifti1Image):
    image = cls(data, affine)
    if sform is not None:
        image.set_sform(affine, sform)
    if qform is not None:
        image.set_qform(affine, qform)
    nib.save(image, path)
    return path
