"""Files of a lifted image set. Names are Depth Anything 3's (DA3) where it has such a file.

| file | content | as named by |
|---|---|---|
| lifted.zarr | all of it, unrounded: a store of one scene, see `scenes.store.encoding` | |
| cameras.json | K and pose of each view, what it shows, and the conventions of all files | |
| exports/mini_npz/results.npz | depth, conf, extrinsics, intrinsics | DA3 |
| scene.glb, scene.jpg, depth_vis/0000.png | points and cameras; figures | DA3 |
| scene.html | images, cameras and points, in a page | |
| scene.ply, scene.rrd | points and cameras | |
| depth/0000.png, confidence/0000.png | 16 and 8 bits | |
| images/0000.jpg | the part of each photo that was lifted | COLMAP, nerfstudio |
| sparse/0/*.txt | a COLMAP model of these | COLMAP, DA3 |
| transforms.json, sparse_pc.ply | the same for nerfstudio, and the points only | nerfstudio |

Open lifted.zarr by `xarray.open_zarr(path, consolidated=False)`; the world is the first camera's:

| variable | dims | content |
|---|---|---|
| depth, valid | scene, view, y, x | z-depth, and whether it may be used |
| confidence | scene, view, y, x | from 1, unsure, upwards |
| intrinsics | scene, view, 3, 3 | K in pixels of the maps, their centres at half integers |
| cam_to_world | scene, view, 4, 4 | OpenCV's axes |
| image | scene, view, y, x, channel | the images at the maps' size |
| frame_ids | scene, view | the images' names |
"""
