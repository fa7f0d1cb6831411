"""Step times of PyTorch: torch_steps.py <network> <strategy> <batch> <steps> -> JSON. Two threads, the better of both memory formats."""
import json, sys, time
import torch

torch.library.register_fake = lambda *a, **k: (lambda f: f)
import torchvision

name, strategy, batch, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(2)


class AlexNet(torch.nn.Module):
    """The layers of the ONNX model zoo's file (Krizhevsky 2012: two groups, LRN); torchvision's network of the name is a smaller one."""

    def __init__(self):
        super().__init__()
        n = torch.nn
        lrn = lambda: n.LocalResponseNorm(5, 1e-4, 0.75, 1.0)
        conv = lambda i, o, k, **more: [n.Conv2d(i, o, k, **more), n.ReLU(inplace=True)]
        self.features = n.Sequential(
            *conv(3, 96, 11, stride=4), lrn(), n.MaxPool2d(3, 2),
            *conv(96, 256, 5, padding=2, groups=2), lrn(), n.MaxPool2d(3, 2),
            *conv(256, 384, 3, padding=1), *conv(384, 384, 3, padding=1, groups=2),
            *conv(384, 256, 3, padding=1, groups=2), n.MaxPool2d(3, 2, ceil_mode=True),
        )
        self.avgpool = n.Identity()
        self.classifier = n.Sequential(
            n.Linear(9216, 4096), n.ReLU(inplace=True), n.Dropout(), n.Linear(4096, 4096), n.ReLU(inplace=True), n.Dropout(),
            n.Linear(4096, 10),
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


def measure(channels_last):
    torch.manual_seed(0)
    model = AlexNet() if name == "alexnet" else torchvision.models.resnet50(weights=None, num_classes=10)
    # As fc7: no dropout, batch norms with frozen statistics.
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    top = {
        "resnet50": {"head": ["fc"], "last": ["layer4", "fc"]},
        "alexnet": {"head": ["classifier.6"], "last": ["classifier"]},
    }[name]
    prefixes = top.get(strategy, [""])
    for key, parameter in model.named_parameters():
        parameter.requires_grad = any(key.startswith(prefix) for prefix in prefixes)
    model.eval()
    x = torch.randn(batch, 3, 224, 224)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    y = torch.arange(batch) % 10
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-3, momentum=0.9, nesterov=True, weight_decay=1e-4)
    loss_of = torch.nn.CrossEntropyLoss()

    def forward(x):
        if strategy == "all":
            return model(x)
        if name == "alexnet":
            with torch.no_grad():
                h = torch.flatten(model.avgpool(model.features(x)), 1)
                if strategy == "head":
                    h = model.classifier[:6](h)
            return model.classifier[6](h) if strategy == "head" else model.classifier(h)
        with torch.no_grad():
            h = model.maxpool(model.relu(model.bn1(model.conv1(x))))
            h = model.layer3(model.layer2(model.layer1(h)))
            if strategy == "head":
                h = torch.flatten(model.avgpool(model.layer4(h)), 1)
        return model.fc(h if strategy == "head" else torch.flatten(model.avgpool(model.layer4(h)), 1))

    times = []
    for _ in range(steps + 2):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss_of(forward(x), y).backward()
        optimizer.step()
        times.append(time.perf_counter() - start)
    return sorted(times[2:])[steps // 2]


print(json.dumps(1000 * min(measure(False), measure(True))))
