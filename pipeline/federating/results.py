"""What a federated training gave: the last model, and its scores at every site."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, RootModel

from pipeline.data.datalist import read_datalist
from pipeline.federating.exchange import EXCHANGES, Round
from pipeline.federating.site import MODELS
from pipeline.federating.site_settings import SiteSettings
from pipeline.inference.trained_model import ModelRecord, read_record, save_model
from pipeline.schemas import read_schema
from pipeline.tracking.store import MODEL
