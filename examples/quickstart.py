"""Why do these two faces match? Ten lines, on faces that belong to nobody."""

import captum_fv as fv

siamese = fv.SiameseCosine(fv.load_backbone("demo"))
img_a, img_b = fv.generated_pairs().tensors([0])  # (1, 3, 112, 112) in [0, 1]
threshold = siamese.backbone.threshold

xssab = fv.SimilarityArgumentGradient(siamese, threshold)
maps = {"xssab": xssab.attribute((img_a, img_b))}  # positive: same person, negative: different

fv.plot_pair(img_a, img_b, maps, siamese(img_a, img_b), threshold).savefig("quickstart.png")
