"""Modules as people write them, exported and lowered: the check finds torch's logits, loss, gradients and updates."""

from __future__ import annotations

from pathlib import Path

import pytest

from device_runtime.formats.sample import picture
from pipeline.recipe import Preprocessing, Recipe
from tests.pipeline import stages

PIXELS, CLASSES = picture(8, 8, 3), 3
RECIPE = Recipe(Preprocessing(8, 8), batch_size=4)

HEADER = """
import torch
from torch import nn
from torch.nn import functional as F

def network():
    return Network()

class Network(nn.Module):
    def __init__(self):
        super().__init__()
"""

# What follows in `__init__`, and the forward pass.
MODULES = {
    "one pixel of channels-last images": """
        self.c=nn.Conv2d(3,4,3)
        self.n=nn.LayerNorm(4)
        self.p=nn.AdaptiveAvgPool2d(1)
        self.h=nn.Linear(4,3)

    def forward(self, x):
        y=self.n(self.c(x).permute(0,2,3,1)).permute(0,3,1,2)
        return self.h(self.p(y).flatten(1))
""",
    "attention to itself": """
        self.a=nn.MultiheadAttention(24,4,batch_first=True)
        self.h=nn.Linear(24,3)

    def forward(self, x):
        y=x.permute(0,2,1,3).flatten(2)
        return self.h(self.a(y,y,y,need_weights=False)[0].mean(1))
""",
    "attention to another, scaled": """
        self.q=nn.Linear(24,16)
        self.kv=nn.Linear(24,32)
        self.h=nn.Linear(16,3)

    def forward(self, x):
        y=x.permute(0,2,1,3).flatten(2)
        q,k,v=(t.unflatten(2,(2,8)).transpose(1,2) for t in (self.q(y[:,:5]),*self.kv(y).chunk(2,-1)))
        return self.h(F.scaled_dot_product_attention(q,k,v,scale=0.3).transpose(1,2).flatten(2).mean(1))
""",
    "an LSTM": """
        self.r=nn.LSTM(24,8,batch_first=True)
        self.h=nn.Linear(8,3)

    def forward(self, x):
        y,_=self.r(x.permute(0,2,1,3).flatten(2))
        return self.h(y[:,-1])
""",
    "a GRU of both directions": """
        self.r=nn.GRU(24,8,bidirectional=True,batch_first=True)
        self.h=nn.Linear(16,3)

    def forward(self, x):
        y,_=self.r(x.permute(0,2,1,3).flatten(2))
        return self.h(y.mean(1))
""",
    "dropout of channels": """
        self.c=nn.Conv2d(3,4,3)
        self.d=nn.Dropout2d(0.3)
        self.h=nn.Linear(4,3)

    def forward(self, x):
        return self.h(self.d(self.c(x)).mean((2,3)))
""",
    "alpha dropout": """
        self.c=nn.Linear(192,8)
        self.d=nn.AlphaDropout(0.3)
        self.h=nn.Linear(8,3)

    def forward(self, x):
        return self.h(self.d(F.selu(self.c(x.flatten(1)))))
""",
    "stochastic depth": """
        self.c=nn.Conv2d(3,3,3,padding=1)
        self.h=nn.Linear(3,3)

    def forward(self, x):
        k=x.new_empty((x.shape[0],1,1,1)).bernoulli_(0.8) if self.training else 1.0
        return self.h((x+self.c(x)*k/0.8).mean((2,3)))
""",
    "pixel shuffle and back": """
        self.c=nn.Conv2d(3,12,3,padding=1)
        self.p=nn.PixelShuffle(2)
        self.h=nn.Linear(3,3)

    def forward(self, x):
        return self.h(F.pixel_unshuffle(self.p(self.c(x)),2).unflatten(1,(3,4)).mean((2,3,4)))
""",
    "adaptive pooling to a larger size": """
        self.c=nn.Conv2d(3,4,3)
        self.h=nn.Linear(4*49,3)

    def forward(self, x):
        return self.h(F.adaptive_avg_pool2d(self.c(x),7).flatten(1))
""",
    "adaptive max pooling": """
        self.c=nn.Conv2d(3,4,3,padding=1)
        self.h=nn.Linear(16,3)

    def forward(self, x):
        return self.h(F.adaptive_max_pool2d(self.c(x),2).flatten(1))
""",
    "attention with a mask": """
        self.a=nn.MultiheadAttention(24,4,batch_first=True)
        self.h=nn.Linear(24,3)
        self.register_buffer('m',torch.triu(torch.ones(8,8,dtype=torch.bool),1))

    def forward(self, x):
        t=x.permute(0,2,1,3).flatten(2)
        y,_=self.a(t,t,t,attn_mask=self.m)
        return self.h(y.mean(1))
""",
    "shifted windows with a bias by position": """
        self.q=nn.Linear(24,24)
        self.t=nn.Parameter(torch.randn(15,2))
        i=torch.arange(8)
        self.register_buffer('i',(i[:,None]-i[None,:]+7))
        self.h=nn.Linear(24,3)

    def forward(self, x):
        t=torch.roll(x.permute(0,2,1,3).flatten(2),-2,1)
        q=self.q(t).reshape(-1,8,2,12).permute(0,2,1,3)
        a=(q@q.transpose(-1,-2))/3+self.t[self.i.view(-1)].view(8,8,2).permute(2,0,1)
        o=(a.softmax(-1)@q).transpose(1,2).reshape(-1,8,24)
        return self.h(torch.roll(o,2,1).mean(1))
""",
    "einsum": """
        self.w=nn.Parameter(torch.randn(3,8,5))
        self.h=nn.Linear(40,3)

    def forward(self, x):
        return self.h(torch.einsum('nchw,chk->nwk',x,self.w).flatten(1))
""",
    "convolutions of one and three axes": """
        self.a=nn.Conv1d(3,4,3)
        self.b=nn.Conv3d(1,2,3)
        self.h=nn.Linear(6,3)

    def forward(self, x):
        y=self.a(x.flatten(2)).mean(2)
        z=self.b(x.unsqueeze(1)).mean((2,3,4))
        return self.h(torch.cat([y,z],1))
""",
    "a transposed convolution": """
        self.a=nn.ConvTranspose2d(3,4,3,stride=2,padding=1,output_padding=1)
        self.n=nn.BatchNorm2d(4)
        self.h=nn.Linear(4,3)

    def forward(self, x):
        return self.h(F.silu(self.n(self.a(x))).mean((2,3)))
""",
    "resizing up and down": """
        self.a=nn.Conv2d(3,4,3,padding=1)
        self.h=nn.Linear(4,3)

    def forward(self, x):
        y=F.interpolate(self.a(x),scale_factor=2,mode='bilinear')
        z=F.interpolate(y,size=(5,7),mode='nearest')
        w=F.interpolate(z,size=(9,9),mode='bicubic',align_corners=True)
        return self.h(w.mean((2,3))**2)
""",
    "resizing by area and with antialias": """
        self.a=nn.Conv2d(3,4,3,padding=1)
        self.h=nn.Linear(16,3)

    def forward(self, x):
        y=F.interpolate(self.a(x),size=(4,4),mode='area')
        z=F.interpolate(y,size=(2,2),mode='bilinear',antialias=True)
        return self.h(z.flatten(1))
""",
    "instance normalisation": """
        self.a=nn.Conv2d(3,4,3,bias=False)
        self.n=nn.InstanceNorm2d(4)
        self.h=nn.Linear(4,3)

    def forward(self, x):
        return self.h(self.n(self.a(x)).relu().mean((2,3)))
""",
    "local response normalisation": """
        self.a=nn.Conv2d(3,6,3)
        self.n=nn.LocalResponseNorm(3)
        self.h=nn.Linear(6,3)

    def forward(self, x):
        y=self.n(self.a(x))
        return self.h(F.hardswish(y).mean((2,3))+F.softplus(y).amax((2,3)))
""",
    "sorting, the largest, and sums so far": """
        self.a=nn.Linear(192,10)
        self.h=nn.Linear(10,3)

    def forward(self, x):
        y=self.a(x.flatten(1))
        v,_=y.topk(4)
        return self.h(torch.cumsum(y,1)+v.sum(1,keepdim=True)+torch.sort(y,1)[0])
""",
    "normalisation by length and deviation": """
        self.a=nn.Linear(192,10)
        self.h=nn.Linear(10,3)

    def forward(self, x):
        y=F.normalize(self.a(x.flatten(1)),dim=1)
        return self.h((y-y.mean(1,keepdim=True))/y.std(1,keepdim=True))
""",
    "choices element by element": """
        self.a=nn.Linear(192,10)
        self.h=nn.Linear(10,3)

    def forward(self, x):
        y=self.a(x.flatten(1))
        y=torch.where(y>0.1,y,0.3*y).clamp(-0.5,0.5)+torch.maximum(y,y.flip(1))
        return self.h(y*y.max(1,keepdim=True)[0])
""",
    "RMS normalisation and PReLU": """
        self.a=nn.Linear(192,10)
        self.n=nn.RMSNorm(10)
        self.p=nn.PReLU(10)
        self.h=nn.Linear(10,3)

    def forward(self, x):
        return self.h(self.p(self.n(self.a(x.flatten(1)))))
""",
    "an encoder layer with dropout": """
        self.e=nn.TransformerEncoderLayer(24,4,48,batch_first=True)
        self.h=nn.Linear(24,3)

    def forward(self, x):
        return self.h(self.e(x.permute(0,2,1,3).flatten(2)).mean(1))
""",
    "recurrent layers with dropout between them": """
        self.r=nn.GRU(24,6,2,batch_first=True,dropout=0.4,bidirectional=True)
        self.h=nn.Linear(12,3)

    def forward(self, x):
        return self.h(self.r(x.permute(0,2,1,3).flatten(2))[0][:,-1])
""",
    "images in another order": """
        self.a=nn.Linear(192,10)
        self.h=nn.Linear(10,3)

    def forward(self, x):
        y=self.a(x.flatten(1))
        if self.training:
            y=0.8*y+0.2*y[torch.randperm(x.shape[0])]
        return self.h(y.relu())
""",
    "distances within the batch": """
        self.a=nn.Linear(192,10)
        self.h=nn.Linear(10,3)

    def forward(self, x):
        y=self.a(x.flatten(1))
        near=torch.softmax(y@y.t()-9.0*torch.eye(x.shape[0]),1)
        return self.h(y+near@y)
""",
    "patches by unfold": """
        self.a=nn.Linear(27,4)
        self.h=nn.Linear(4,3)

    def forward(self, x):
        u=F.unfold(x,3).transpose(1,2)
        return self.h(self.a(u).mean(1))
""",
}


@pytest.mark.parametrize("name", MODULES)
def test_it_trains_as_in_torch(name: str, tmp_path: Path) -> None:
    source = stages.module_of(HEADER.rstrip("\n") + MODULES[name], tmp_path)
    stages.build_unchecked(source, RECIPE, PIXELS, CLASSES, tmp_path)
    found = stages.check(source, RECIPE, PIXELS, CLASSES, tmp_path).largest
    assert found["gradients"] < 1e-4
    assert found["logits"] < 1e-5
